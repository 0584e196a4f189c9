// Applies requests and says so; everything else is as Jetty ships it.
import java.io.FileOutputStream;
import java.io.InputStream;
import java.io.OutputStream;

import org.eclipse.jetty.io.Content;
import org.eclipse.jetty.server.Handler;
import org.eclipse.jetty.server.Request;
import org.eclipse.jetty.server.Response;
import org.eclipse.jetty.server.Server;
import org.eclipse.jetty.util.Callback;

public class Jetty {
    public static void main(String[] arguments) throws Exception {
        var ledger = new FileOutputStream(System.getenv("RACE_LEDGER"), true);
        var server = new Server(Integer.parseInt(System.getenv("RACE_PORT")));
        server.setHandler(new Handler.Abstract() {
            @Override
            public boolean handle(Request request, Response response, Callback callback) throws Exception {
                long bytes;
                try (InputStream body = Content.Source.asInputStream(request)) {
                    bytes = body.transferTo(OutputStream.nullOutputStream());
                }
                String id = request.getHeaders().get("X-Race-Id");
                ledger.write((id + " 200\n").getBytes());
                Content.Sink.write(response, true, id + " " + bytes + "\n", callback);
                return true;
            }
        });
        server.start();
        server.join();
    }
}
