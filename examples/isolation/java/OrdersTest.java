// SPDX-License-Identifier: Apache-2.0
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.ResultSet;
import java.sql.SQLException;

/** Run without a framework: main() is @BeforeAll, the tests, @AfterAll. */
public final class OrdersTest {
	private static Branch branch;

	private static int count() throws SQLException {
		try (Connection c = DriverManager.getConnection(branch.url()); ResultSet r = c.createStatement().executeQuery("select count(*) from orders")) {
			r.next();
			return r.getInt(1);
		}
	}

	private static void check(boolean holds, String what) {
		if (!holds)
			throw new AssertionError(what);
	}

	static void mayCommitWhatItLikes() throws SQLException {
		check(count() > 0, "no orders in the image");
		try (Connection c = DriverManager.getConnection(branch.url())) {
			c.createStatement().execute("truncate orders");
		}
		check(count() == 0, "orders are left");
		String before = branch.url();
		branch.reset();
		check(branch.url().equals(before), "the URL changed");
	}

	static void nextSeesNothingOfIt() throws SQLException {
		check(count() > 0, "the orders are gone");
	}

	public static void main(String[] args) throws SQLException {
		try (Branch b = new Branch("orders")) {
			branch = b;
			mayCommitWhatItLikes();
			nextSeesNothingOfIt();
		}
		System.out.println("2 passed");
	}
}
