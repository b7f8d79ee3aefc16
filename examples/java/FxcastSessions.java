// Makes and ends sessions of fxcast by its admin API, for Spring or any other framework.
//
//   FXCAST_ADMIN=http://127.0.0.1:9090 ADMIN_TOKEN=… java FxcastSessions.java create USER ROLE    # prints the token
//   FXCAST_ADMIN=http://127.0.0.1:9090 ADMIN_TOKEN=… java FxcastSessions.java end TOKEN
//
// It needs Java 17 or later, and no library.

import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublisher;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.time.Duration;
import java.util.HexFormat;
import java.util.regex.Pattern;

public class FxcastSessions {
    private static final Pattern TOKEN = Pattern.compile("\"token\":\"([^\"]+)\"");
    private final HttpClient client = HttpClient.newBuilder().connectTimeout(Duration.ofSeconds(5)).build();
    private final String admin;
    private final String adminToken;

    public FxcastSessions(String admin, String adminToken) {
        this.admin = admin;
        this.adminToken = adminToken;
    }

    /** Returns the token of a new session. The ids of users and roles need no escapes here. */
    public String create(String userId, String role) throws IOException, InterruptedException {
        String body = "{\"user_id\":\"%s\",\"role\":\"%s\",\"ttl_seconds\":3600}".formatted(userId, role);
        var answer = call("POST", "/api/v1/sessions", BodyPublishers.ofString(body));
        var token = TOKEN.matcher(answer.body()); // your own program has a JSON library
        if (answer.statusCode() / 100 != 2 || !token.find()) {
            throw new IOException("a session of fxcast: " + answer.statusCode() + " " + answer.body());
        }
        return token.group(1);
    }

    /** Ends a session: its sockets close within a second, on every node. */
    public void end(String token) throws IOException, InterruptedException, GeneralSecurityException {
        byte[] hash = MessageDigest.getInstance("SHA-256").digest(token.getBytes(StandardCharsets.UTF_8));
        var answer = call("DELETE", "/api/v1/redis/session/" + HexFormat.of().formatHex(hash), BodyPublishers.noBody());
        if (answer.statusCode() / 100 != 2 && answer.statusCode() != 404) { // 404: it has ended already
            throw new IOException("the end of a session of fxcast: " + answer.statusCode() + " " + answer.body());
        }
    }

    private HttpResponse<String> call(String method, String path, BodyPublisher body) throws IOException, InterruptedException {
        var request = HttpRequest.newBuilder(URI.create(admin + path)).timeout(Duration.ofSeconds(5))
                .header("Authorization", "Bearer " + adminToken).header("Content-Type", "application/json")
                .method(method, body).build();
        return client.send(request, BodyHandlers.ofString());
    }

    public static void main(String[] args) throws Exception {
        var sessions = new FxcastSessions(System.getenv("FXCAST_ADMIN"), System.getenv("ADMIN_TOKEN"));
        switch (args.length == 0 ? "" : args[0]) {
            case "create" -> System.out.println(sessions.create(args[1], args[2]));
            case "end" -> sessions.end(args[1]);
            default -> System.exit(2);
        }
    }
}
