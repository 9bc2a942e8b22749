/*
 * A service that asks another one, as Java programs do it: the JDK's HTTP server, with HttpURLConnection
 * or with java.net.http.
 *
 * PORT, UPSTREAM (a URL) and CLIENT (url-connection or http-client) come from the environment. COPY names
 * the headers that its author copies from what comes in to what goes out; nothing here traces.
 */

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.io.InputStream;
import java.net.HttpURLConnection;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.util.List;
import java.util.concurrent.Executors;

class Copier {
  static final String UPSTREAM = System.getenv("UPSTREAM");
  static final boolean USES_HTTP_CLIENT = System.getenv("CLIENT").equals("http-client");
  static final List<String> COPY =
      List.of(System.getenv().getOrDefault("COPY", "").split(",")).stream()
          .filter(name -> !name.isEmpty())
          .toList();
  static final HttpClient client = HttpClient.newHttpClient();

  public static void main(String[] args) throws IOException {
    int port = Integer.parseInt(System.getenv("PORT"));
    HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", port), 0);
    server.setExecutor(Executors.newFixedThreadPool(16));
    server.createContext("/", Copier::handle);
    server.start();
    System.out.println("copier listens on " + port);
  }

  static void handle(HttpExchange exchange) throws IOException {
    byte[] body;
    try {
      URI uri = URI.create(UPSTREAM + exchange.getRequestURI());
      body = USES_HTTP_CLIENT ? askByClient(uri, exchange) : askByConnection(uri, exchange);
      exchange.sendResponseHeaders(200, body.length);
    } catch (Exception problem) {
      body = problem.toString().getBytes();
      exchange.sendResponseHeaders(502, body.length);
    }
    exchange.getResponseBody().write(body);
    exchange.close();
  }

  static byte[] askByConnection(URI uri, HttpExchange exchange) throws IOException {
    HttpURLConnection sent = (HttpURLConnection) uri.toURL().openConnection();
    for (String name : COPY) {
      String value = exchange.getRequestHeaders().getFirst(name);
      if (value != null) sent.setRequestProperty(name, value);
    }
    try (InputStream answer = sent.getInputStream()) {
      return answer.readAllBytes();
    }
  }

  static byte[] askByClient(URI uri, HttpExchange exchange) throws Exception {
    HttpRequest.Builder request = HttpRequest.newBuilder(uri);
    for (String name : COPY) {
      String value = exchange.getRequestHeaders().getFirst(name);
      if (value != null) request.header(name, value);
    }
    return client.send(request.build(), HttpResponse.BodyHandlers.ofByteArray()).body();
  }
}
