import java.io.ByteArrayInputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublisher;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse.BodyHandlers;
import java.util.List;
import java.util.stream.Stream;

/**
 * Sends each further argument to the first, with Java's defaults: every request offers h2c.
 *
 * Each body goes with its length, in chunks, and once the server has said that it takes it; one
 * after the other, which uses a connection again, and then all at once. It prints a line for each:
 * the status and the body.
 */
class Client {
    static final HttpClient CLIENT = HttpClient.newHttpClient();

    public static void main(String[] arguments) throws Exception {
        var address = URI.create(arguments[0]);
        var bodies = Stream.of(arguments).skip(1).toList();
        var requests = bodies.stream().flatMap(body -> requests(address, body)).toList();
        for (var request : requests) {
            var response = CLIENT.send(request, BodyHandlers.ofString());
            print(response.statusCode(), response.body());
        }
        var sent = requests.stream()
            .map(request -> CLIENT.sendAsync(request, BodyHandlers.ofString()))
            .toList();
        for (var response : sent) {
            print(response.get().statusCode(), response.get().body());
        }
        var ping = HttpRequest.newBuilder(address.resolve("/ping")).build();
        print(CLIENT.send(ping, BodyHandlers.ofString()).statusCode(), "");
    }

    static Stream<HttpRequest> requests(URI address, String body) {
        List<BodyPublisher> ways = List.of(
            BodyPublishers.ofString(body),
            BodyPublishers.ofInputStream(() -> new ByteArrayInputStream(body.getBytes())));
        return Stream.of(false, true).flatMap(asks -> ways.stream().map(way ->
            HttpRequest.newBuilder(address)
                .header("Content-Type", "application/json")
                .expectContinue(asks)
                .POST(way)
                .build()));
    }

    static void print(int status, String body) {
        System.out.println(status + " " + body.strip());
    }
}
