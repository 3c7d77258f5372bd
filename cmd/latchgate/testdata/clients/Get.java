import java.io.InputStream;
import java.net.HttpURLConnection;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;

/**
 * Gets a URL with one of Java's two clients and prints all that came back.
 * Nothing here speaks of a proxy, a certificate or a credential: what makes it
 * work is the environment.
 */
class Get {
    public static void main(String[] args) throws Exception {
        URI url = URI.create(args[1]);
        if (args[0].equals("HttpClient")) {
            HttpResponse<String> answer = HttpClient.newHttpClient().send(HttpRequest.newBuilder(url).build(), HttpResponse.BodyHandlers.ofString());
            System.out.println(answer.headers() + answer.body());
            System.exit(answer.statusCode() == 200 ? 0 : 1);
        }
        HttpURLConnection connection = (HttpURLConnection) url.toURL().openConnection();
        try (InputStream body = connection.getInputStream()) {
            System.out.println(connection.getHeaderFields() + new String(body.readAllBytes()));
        }
    }
}
