// Publishes the quotes that it reads, one a line: SYMBOL BID ASK.
//
//   echo "EUR/USD 1.08501 1.08513" | FXCAST_URL=http://127.0.0.1:8080 PUBLISH_TOKEN=… java Publish.java
//
// It sends what has come together in one request, prints each quote that is refused, and exits with 0
// if all were accepted. It needs Java 17 or later, and no library.

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Pattern;

public class Publish {
    private static final int MOST = 1000; // quotes a request
    private static final Pattern REFUSED = Pattern.compile("\"index\":(\\d+),\"reason\":\"(\\w+)\"");
    private static final HttpClient CLIENT = HttpClient.newBuilder().connectTimeout(Duration.ofSeconds(5)).build();

    public static void main(String[] args) throws Exception {
        int refused = 0;
        List<String> lines = new ArrayList<>();
        var input = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = input.readLine(); line != null; line = input.readLine()) {
            if (!line.isBlank()) {
                lines.add(line.strip());
            }
            if (lines.size() == MOST || !lines.isEmpty() && !input.ready()) {
                refused += publish(lines);
                lines.clear();
            }
        }
        if (!lines.isEmpty()) {
            refused += publish(lines);
        }
        System.exit(refused == 0 ? 0 : 1);
    }

    /** Publishes some lines, and returns how many were refused. */
    private static int publish(List<String> lines) throws IOException, InterruptedException {
        var quotes = new StringBuilder();
        for (String line : lines) { // NDJSON; prices are text, so that no digit is lost
            String[] parts = line.split("\\s+");
            quotes.append("{\"symbol\":\"%s\",\"bid\":\"%s\",\"ask\":\"%s\"}\n".formatted(parts[0], parts[1], parts[2]));
        }
        var request = HttpRequest.newBuilder(URI.create(System.getenv("FXCAST_URL") + "/api/v1/quotes"))
                .timeout(Duration.ofSeconds(10))
                .header("Authorization", "Bearer " + System.getenv("PUBLISH_TOKEN"))
                .header("Content-Type", "application/x-ndjson")
                .POST(HttpRequest.BodyPublishers.ofString(quotes.toString()))
                .build();
        var answer = CLIENT.send(request, BodyHandlers.ofString());
        if (answer.statusCode() != 200) {
            throw new IOException("publish: " + answer.statusCode() + " " + answer.body());
        }
        var rejected = REFUSED.matcher(answer.body()); // your own program has a JSON library
        int count = 0;
        while (rejected.find()) {
            System.err.println(lines.get(Integer.parseInt(rejected.group(1))) + " is refused: " + rejected.group(2));
            count++;
        }
        return count;
    }
}
