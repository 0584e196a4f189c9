use std::fs;
use std::path::PathBuf;
use std::sync::mpsc::channel;

use policy::time::Moment;

use super::*;

fn batch(text: &str) -> Batch {
    let mut batch = Batch::new(None);
    for line in text.split_inclusive('\n') {
        batch.write(line.len(), Moment::default(), |mut writer| {
            writer.put(line.as_bytes());
            writer
        });
    }
    batch
}

/// A file name of this test's own, removed in the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        Self(std::env::temp_dir().join(format!("evenkeel-{name}-{}.log", std::process::id())))
    }

    fn start(&self) -> LogWriter {
        LogWriter::start(&AccessLog {
            format: LogFormat::Text,
            sink: LogSink::File(self.0.clone()),
        })
        .unwrap()
    }

    fn read(&self) -> String {
        fs::read_to_string(&self.0).unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[test]
fn lines_are_appended_to_the_file_in_order() {
    let file = Scratch::new("append");
    fs::write(&file.0, "before\n").unwrap();
    let log = file.start();
    let handle = log.handle();
    handle.send(&mut batch("one\ntwo\n"));
    handle.send(&mut batch("three\n"));
    let counts = log.counts();
    log.finish();
    assert_eq!(file.read(), "before\none\ntwo\nthree\n");
    assert_eq!(
        (counts.written.load(Relaxed), counts.dropped.load(Relaxed)),
        (3, 0)
    );
}

#[test]
fn a_file_that_was_rotated_away_is_opened_anew_when_asked() {
    let (file, rotated) = (Scratch::new("reopen"), Scratch::new("rotated"));
    let log = file.start();
    let handle = log.handle();
    handle.send(&mut batch("old\n"));
    while log.counts().written.load(Relaxed) < 1 {
        std::thread::yield_now();
    }
    fs::rename(&file.0, &rotated.0).unwrap();
    log.reopen();
    handle.send(&mut batch("new\n"));
    log.finish();
    assert_eq!(
        (rotated.read().as_str(), file.read().as_str()),
        ("old\n", "new\n")
    );
}

#[test]
fn a_file_that_cannot_be_opened_is_named_in_the_error() {
    let path = PathBuf::from("/no/such/directory/access.log");
    let error = LogWriter::start(&AccessLog {
        format: LogFormat::Text,
        sink: LogSink::File(path),
    })
    .unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
    assert!(
        error
            .to_string()
            .starts_with("access log /no/such/directory/access.log: "),
        "{error}"
    );
}

/// Writes nothing until it is let go.
struct Stuck(Arc<Mutex<Receiver<()>>>);

impl Write for Stuck {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.0.lock().unwrap().recv();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_worker_does_not_wait_for_a_stuck_file_and_lost_lines_are_counted() {
    const SENT: u64 = QUEUE_BATCHES as u64 + 100;
    let (let_go, stuck) = channel();
    let stuck = Arc::new(Mutex::new(stuck));
    let log = LogWriter::write_to(
        move || Ok(Box::new(Stuck(Arc::clone(&stuck)))),
        LogFormat::Text,
        Arc::default(),
    )
    .unwrap();
    let handle = log.handle();
    for _ in 0..SENT {
        handle.send(&mut batch("one\ntwo\n"));
    }
    let counts = log.counts();
    let dropped = counts.dropped.load(Relaxed);
    // The writer may hold one batch that the queue no longer does.
    assert!(dropped == 2 * (SENT - QUEUE_BATCHES as u64) || dropped == 2 * (SENT - 1 - QUEUE_BATCHES as u64));
    drop(let_go);
    log.finish();
    assert_eq!(
        counts.written.load(Relaxed) + counts.dropped.load(Relaxed),
        2 * SENT
    );
}

/// Fails once in the middle of a line.
struct Full(Arc<Mutex<Vec<u8>>>, bool);

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if std::mem::take(&mut self.1) {
            self.0.lock().unwrap().extend_from_slice(&bytes[..2]);
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn half_a_line_left_by_a_full_disk_does_not_swallow_the_next_one() {
    let page = Arc::new(Mutex::new(Vec::new()));
    let out = Arc::clone(&page);
    let log = LogWriter::write_to(
        move || Ok(Box::new(Full(Arc::clone(&out), true))),
        LogFormat::Text,
        Arc::default(),
    )
    .unwrap();
    log.handle().send(&mut batch("lost\n"));
    log.handle().send(&mut batch("kept\n"));
    let counts = log.counts();
    log.finish();
    assert_eq!(*page.lock().unwrap(), b"lo\nkept\n");
    assert_eq!(
        (
            counts.write_failed.load(Relaxed),
            counts.dropped.load(Relaxed),
            counts.written.load(Relaxed)
        ),
        (1, 1, 1)
    );
}

#[test]
fn buffers_come_back_to_the_workers() {
    let page = Arc::new(Mutex::new(Vec::new()));
    let log = LogWriter::write_to(
        move || Ok(Box::new(Full(Arc::clone(&page), false))),
        LogFormat::Text,
        Arc::default(),
    )
    .unwrap();
    let handle = log.handle();
    let mut sent = batch("line\n");
    let address = sent.lines().as_ptr();
    handle.send(&mut sent);
    let shared = Arc::clone(&handle.shared);
    drop(handle);
    log.finish();
    assert!(shared.with_spare(|spare| { spare.iter().any(|buffer| buffer.as_ptr() == address) }));
}

#[test]
fn a_log_that_is_off_takes_no_lines_and_has_no_thread() {
    let log = LogWriter::start(&AccessLog {
        format: LogFormat::Text,
        sink: LogSink::Off,
    })
    .unwrap();
    assert!(log.handle().is_off());
    log.handle().send(&mut batch("gone\n"));
    assert_eq!(log.counts().dropped.load(Relaxed), 0);
    log.finish();
}
