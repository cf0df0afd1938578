// SPDX-License-Identifier: Apache-2.0
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.ThreadLocalRandom;

/**
 * A branch for the tests of a class. With JUnit 5:
 *
 * <pre>
 *   static Branch branch;
 *   &#64;BeforeAll static void take() { branch = new Branch("orders"); }
 *   &#64;AfterAll static void give() { branch.close(); }
 *   branch.reset();      // after a test that commits; the URL stays
 * </pre>
 *
 * COWFS_POOL names a pool (cowfs pool create ci --from golden) whose branches run already; without one COWFS_PARENT is what it
 * is made from (default: golden). They expire by themselves if a run is killed.
 */
public final class Branch implements AutoCloseable {
	private static final String POOL = System.getenv("COWFS_POOL");
	public final String name;
	private String url;

	public Branch(String test) {
		name = "test/" + test.replaceAll("[^A-Za-z0-9_.]", "-") + "-" + HexFormat.of().toHexDigits(ThreadLocalRandom.current().nextInt());
		if (POOL != null && !POOL.isEmpty())
			cowfs("branch", "create", "--from-pool=" + POOL, "--ttl=1h", "--", name);
		else
			cowfs("branch", "create", "--ephemeral", "--parent=" + env("COWFS_PARENT", "golden"), "--ttl=1h", "--", name);
		start();
	}

	/** For DriverManager, Spring (spring.datasource.url), Flyway. */
	public String url() {
		return url;
	}

	/** As it was at first. Connections to it end. */
	public void reset() {
		cowfs("stop", "-m", "immediate", "--", name);
		cowfs("branch", "reset", "--yes", "--", name);
		start();
	}

	@Override
	public void close() {
		cowfs("stop", "-m", "immediate", "--", name);
		cowfs("branch", "delete", "--yes", "--", name);
	}

	private void start() {
		cowfs("start", "--", name);
		url = cowfs("url", "--format=jdbc", "--dbname=" + env("COWFS_DATABASE", "postgres"), "--", name);
	}

	private static String env(String key, String otherwise) {
		return Optional.ofNullable(System.getenv(key)).orElse(otherwise);
	}

	private static String cowfs(String... words) {
		List<String> all = new ArrayList<>(List.of("cowfs"));
		all.addAll(List.of(words));
		try {
			Process p = new ProcessBuilder(all).redirectError(ProcessBuilder.Redirect.INHERIT).start();
			p.getOutputStream().close();
			String out = new String(p.getInputStream().readAllBytes()).trim();
			if (p.waitFor() != 0)
				throw new IllegalStateException(String.join(" ", all) + " ended with " + p.exitValue());
			return out;
		} catch (IOException e) {
			throw new UncheckedIOException(e);
		} catch (InterruptedException e) {
			Thread.currentThread().interrupt();
			throw new IllegalStateException(e);
		}
	}
}
