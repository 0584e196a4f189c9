// Applies requests and says so; everything else is as Tomcat and its server.xml ship it.
import jakarta.servlet.http.HttpServlet;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import java.io.File;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.OutputStream;

import org.apache.catalina.connector.Connector;

public class Tomcat {
    public static void main(String[] arguments) throws Exception {
        var ledger = new FileOutputStream(System.getenv("RACE_LEDGER"), true);
        var tomcat = new org.apache.catalina.startup.Tomcat();
        tomcat.setBaseDir(".");
        var connector = new Connector("HTTP/1.1");
        connector.setPort(Integer.parseInt(System.getenv("RACE_PORT")));
        connector.setProperty("connectionTimeout", "20000");
        tomcat.setConnector(connector);
        var context = tomcat.addContext("", new File(".").getAbsolutePath());
        var servlet = new HttpServlet() {
            @Override
            protected void service(HttpServletRequest request, HttpServletResponse response) throws IOException {
                long bytes = request.getInputStream().transferTo(OutputStream.nullOutputStream());
                String id = request.getHeader("X-Race-Id");
                ledger.write((id + " 200\n").getBytes());
                byte[] body = (id + " " + bytes + "\n").getBytes();
                response.setContentLength(body.length);
                response.getOutputStream().write(body);
            }
        };
        org.apache.catalina.startup.Tomcat.addServlet(context, "race", servlet);
        context.addServletMappingDecoded("/", "race");
        tomcat.start();
        tomcat.getServer().await();
    }
}
