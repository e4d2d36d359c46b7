package onebit.dist;

import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.SocketTimeoutException;
import java.time.Duration;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;

/**
 * Tells a few bytes of rank 0 to all ranks before there is a communicator: NCCL's meeting place, nothing else.
 *
 * <pre>
 * Encoding  a rank sends the magic number, its rank and the size; rank 0 answers with a length and the bytes. Whoever says something else is
 *           hung up on
 * </pre>
 */
public final class Rendezvous {
  private static final long MAGIC = 0x6f6e656269742d31L;
  private static final int MOST_BYTES = 1 << 16, CALL_MILLIS = 5_000;

  private Rendezvous() {}

  /**
   * The port rank 0 listens on: MASTER_PORT, or the one after it where torchrun's own store already sits on that.
   */
  public static Launch.Address address(Launch launch, Map<String, String> environment) {
    Launch.Address master = launch.master().orElseThrow(() -> new IllegalArgumentException("NCCL's ranks need a place to meet: set MASTER_ADDR and MASTER_PORT"));
    boolean taken = "True".equalsIgnoreCase(environment.getOrDefault("TORCHELASTIC_USE_AGENT_STORE", ""));
    return taken ? new Launch.Address(master.host(), master.port() + 1) : master;
  }

  /**
   * The bytes of rank 0; others pass null.
   *
   * @throws IOException if not all ranks came within the limit; the message names the missing ones
   */
  public static byte[] share(byte[] ofRankZero, int rank, int size, Launch.Address master, Duration limit) throws IOException {
    if (size == 1) return ofRankZero;
    long end = System.nanoTime() + limit.toNanos();
    if (rank == 0) {
      tell(ofRankZero, size, master, end);
      return ofRankZero;
    }
    return ask(rank, size, master, end);
  }

  private static void tell(byte[] bytes, int size, Launch.Address master, long end) throws IOException {
    Set<Integer> missing = new HashSet<>();
    for (int r = 1; r < size; r++) missing.add(r);
    try (ServerSocket server = new ServerSocket()) {
      server.setReuseAddress(true);
      server.bind(new InetSocketAddress(master.port()), size);
      while (!missing.isEmpty()) {
        long millis = (end - System.nanoTime()) / 1_000_000;
        if (millis <= 0) throw new SocketTimeoutException();
        server.setSoTimeout((int) Math.min(millis, Integer.MAX_VALUE));
        try (Socket caller = server.accept()) {
          answer(caller, bytes, size, missing);
        }
      }
    } catch (SocketTimeoutException e) {
      throw new IOException("ranks " + missing + " did not come to port " + master.port() + " of rank 0 in time (dist.timeoutSeconds)", e);
    } catch (java.net.BindException e) {
      throw new IOException("port " + master.port() + " of rank 0 is in use (" + e.getMessage() + "); set another MASTER_PORT", e);
    }
  }

  private static void answer(Socket caller, byte[] bytes, int size, Set<Integer> missing) {
    try {
      caller.setSoTimeout(CALL_MILLIS);
      DataInputStream in = new DataInputStream(caller.getInputStream());
      if (in.readLong() != MAGIC) return;
      int who = in.readInt(), of = in.readInt();
      if (of != size || who < 1 || who >= size) return;
      DataOutputStream out = new DataOutputStream(caller.getOutputStream());
      out.writeInt(bytes.length);
      out.write(bytes);
      out.flush();
      if (in.read() == 1) missing.remove(who);
    } catch (IOException e) {
      // a caller that hangs up is no rank, or will call again
    }
  }

  private static byte[] ask(int rank, int size, Launch.Address master, long end) throws IOException {
    IOException last = null;
    while (System.nanoTime() < end) {
      try (Socket socket = new Socket()) {
        socket.connect(new InetSocketAddress(master.host(), master.port()), CALL_MILLIS);
        socket.setSoTimeout(CALL_MILLIS);
        DataOutputStream out = new DataOutputStream(socket.getOutputStream());
        out.writeLong(MAGIC);
        out.writeInt(rank);
        out.writeInt(size);
        out.flush();
        DataInputStream in = new DataInputStream(socket.getInputStream());
        int length = in.readInt();
        if (length < 0 || length > MOST_BYTES) throw new IOException("it answers with " + length + " bytes");
        byte[] bytes = in.readNBytes(length);
        if (bytes.length < length) throw new IOException("it hung up");
        out.write(1);
        out.flush();
        return bytes;
      } catch (IOException e) {
        last = e;
        pause();
      }
    }
    throw new IOException("rank 0 at " + master.host() + ":" + master.port() + " was not reached in time (dist.timeoutSeconds): " + (last == null ? "" : last.getMessage()), last);
  }

  private static void pause() throws IOException {
    try {
      Thread.sleep(100);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IOException("interrupted while waiting for rank 0", e);
    }
  }
}
