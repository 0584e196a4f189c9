//! Clients that share one endpoint: they fill its pool, and then its connections die together.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::backend::RESET_ALL;
use super::client::Running;
use super::dice::Dice;
use super::lane::Lane;
use super::message::Wired;
use super::net::lane_address;
use super::plan::Ending;

/// The clients of one endpoint.
pub(crate) struct Team {
    running: Rc<Running>,
    lanes: Vec<Lane>,
    ending: Ending,
    dice: Dice,
    /// To the backend itself, past the proxy.
    control: Option<Wired>,
}

impl Team {
    /// The team of these lanes of a group, which share an endpoint.
    pub(crate) fn new(running: Rc<Running>, lanes: Vec<Lane>, ending: Ending, dice: Dice) -> Self {
        Self {
            running,
            lanes,
            ending,
            dice,
            control: None,
        }
    }

    /// Runs until the group has enough.
    pub(crate) async fn run(mut self) {
        let start = self.between(Duration::ZERO, START_WITHIN);
        tokio::time::sleep(start).await;
        while !self.running.is_over() {
            // All at once, so that each has a connection of its own and leaves it idle.
            self.at_once(0, |mut lane| async move {
                lane.prepare().await;
                lane
            })
            .await;
            let pause = self.between(PAUSE_LEAST, PAUSE_MOST);
            tokio::time::sleep(pause).await;
            if self.running.is_over() {
                return;
            }
            self.end_all().await;
            if self.ending == Ending::SilenceOneFirst {
                let before = self.silent_heads();
                if let Some(first) = self.lanes.first_mut() {
                    first.race(Duration::ZERO, false).await;
                }
                // Where the proxy avoided the silence, it has learned nothing of it that the others could need.
                let met = self.silent_heads() > before;
                self.race_from(1, met).await;
            } else {
                self.race_from(0, false).await;
            }
        }
    }

    fn silent_heads(&self) -> u64 {
        let endpoint = self.lanes.first().map(Lane::endpoint);
        endpoint.map_or(0, |endpoint| {
            self.running.flows.with(|flows| flows.lane(endpoint).silent_heads)
        })
    }

    /// Sends on all lanes but the first few, while what ends the connections is on its way.
    async fn race_from(&mut self, first: usize, follows: bool) {
        let within = self.running.delay * 2;
        let mut dice = Dice::new(self.dice.between(0, i64::MAX - 1).unsigned_abs());
        self.at_once(first, |mut lane| {
            let pause = dice.between(0, within.as_micros() as i64).unsigned_abs();
            async move {
                lane.race(Duration::from_micros(pause), follows).await;
                lane
            }
        })
        .await;
    }

    async fn at_once<F>(&mut self, first: usize, mut act: impl FnMut(Lane) -> F)
    where
        F: Future<Output = Lane> + 'static,
    {
        let mut acting = JoinSet::new();
        for lane in self.lanes.drain(first..) {
            acting.spawn_local(act(lane));
        }
        while let Some(ended) = acting.join_next().await {
            match ended {
                Ok(lane) => self.lanes.push(lane),
                Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                Err(_) => return,
            }
        }
    }

    /// Ends all of the endpoint's connections.
    async fn end_all(&mut self) {
        let Some(endpoint) = self.lanes.first().map(Lane::endpoint) else {
            return;
        };
        match self.ending {
            Ending::Silence | Ending::SilenceOneFirst => {
                self.running.flows.with(|flows| flows.silence(endpoint));
            }
            Ending::Reset => {
                let text = format!(
                    "POST / HTTP/1.1\r\n{RESET_ALL}: {}\r\nContent-Length: 0\r\n\r\n",
                    endpoint.ip()
                );
                if let Err(error) = self.tell(text.as_bytes()).await {
                    eprintln!("the backend was not told to reset: {error}");
                    self.control = None;
                }
            }
        }
    }

    /// Sends an order to the backend, whose answer to the last one is read only now.
    async fn tell(&mut self, order: &[u8]) -> io::Result<()> {
        let mut control = match self.control.take() {
            Some(mut control) => {
                let head = control.head().await?.ok_or(io::ErrorKind::UnexpectedEof)?;
                control.response_body(&head).await?;
                control
            }
            None => Wired::new(TcpStream::connect(lane_address(CONTROL, super::BACKEND_PORT)).await?),
        };
        control.write(order).await?;
        self.control = Some(control);
        Ok(())
    }

    fn between(&mut self, from: Duration, to: Duration) -> Duration {
        let micros = self.dice.between(from.as_micros() as i64, to.as_micros() as i64);
        Duration::from_micros(micros.unsigned_abs())
    }
}

const START_WITHIN: Duration = Duration::from_millis(500);
/// How long the connections have idled when they die.
const PAUSE_LEAST: Duration = Duration::from_millis(60);
const PAUSE_MOST: Duration = Duration::from_millis(250);
/// An address of the backend's that no lane has.
const CONTROL: usize = 32_000;
