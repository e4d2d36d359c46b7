package onebit.report;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.BufferedInputStream;
import java.io.ByteArrayInputStream;
import java.io.DataInputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Clock;
import java.time.Instant;
import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.zip.CRC32C;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class TensorBoardEventsTest {
  /** 2^30 seconds and a half: the double 0x41d0000000200000. */
  private static final Clock CLOCK = Clock.fixed(Instant.ofEpochSecond(1L << 30, 500_000_000), ZoneOffset.UTC);
  @TempDir Path folder;
  private final List<String> trouble = new ArrayList<>();

  private record Event(double wallTime, long step, String version, String tag, float value, int session) {}

  private TensorBoardEvents open(long step) {
    return TensorBoardEvents.open(folder, step, trouble::add, CLOCK);
  }

  @Test
  void theFirstRecordsAreTheBytesTensorBoardExpects() throws IOException {
    byte[] bytes;
    try (TensorBoardEvents events = open(0)) {
      events.scalar("loss", 300, 0.5);
      events.flush();
      bytes = Files.readAllBytes(events.path());
    }
    // wall_time 1: fixed64; file_version 3: 13 bytes | step 2: 1, session_log 7: {status 1: 1} | step 300 = ac 02, summary 5: {1: {1: "loss", 2: 0.5f}}
    String version = "09 00002000 0000d041 1a 0d 627261696e2e4576656e743a32";
    String start = "09 00002000 0000d041 10 01 3a 02 08 01";
    String scalar = "09 00002000 0000d041 10 ac02 2a 0d 0a 0b 0a 04 6c6f7373 15 0000003f";
    int at = 0;
    for (String data : List.of(version, start, scalar)) {
      byte[] expected = HexFormat.of().parseHex(data.replace(" ", ""));
      assertArrayEquals(expected, Arrays.copyOfRange(bytes, at + 12, at + 12 + expected.length), data);
      assertEquals(expected.length, bytes[at]);
      at += 16 + expected.length;
    }
    assertEquals(bytes.length, at);
  }

  @Test
  void theChecksumsOfTheVersionRecordAreThoseKnownFromTensorFlow() throws IOException {
    byte[] bytes;
    try (TensorBoardEvents events = open(0)) {
      bytes = Files.readAllBytes(events.path());
    }
    // every events file of TensorFlow with brain.Event:2 begins with length 24 and this masked checksum
    assertEquals("1800000000000000a37f4b22", HexFormat.of().formatHex(bytes, 0, 12));
  }

  @Test
  void anIndependentReaderGetsBackEveryScalar() throws IOException {
    Map<String, Object> record = new LinkedHashMap<>();
    record.put("epoch", 3);
    record.put("step", 1407L);
    record.put("loss", 0.125);
    record.put("phase", "warm-up");
    record.put("flip/layer1.0.conv1", Float.NaN);
    record.put("\u00e4".repeat(100), -1e-3);
    TensorBoardEvents events = open(1000);
    events.scalars(1407, record);
    assertEquals(2 + 4, read(events.path()).size(), "while the run goes on");
    events.scalar("big", Long.MAX_VALUE, 1e300);
    events.close();
    List<Event> read = read(events.path());
    assertEquals("brain.Event:2", read.get(0).version);
    assertEquals(new Event((1L << 30) + 0.5, 1001, null, null, 0, 1), read.get(1));
    assertEquals(List.of("epoch", "loss", "flip/layer1.0.conv1", "\u00e4".repeat(100), "big"), read.stream().skip(2).map(Event::tag).toList());
    assertEquals(List.of(3f, 0.125f, Float.NaN, -1e-3f, Float.POSITIVE_INFINITY), read.stream().skip(2).map(Event::value).toList());
    assertEquals(List.of(1407L, 1407L, 1407L, 1407L, Long.MAX_VALUE), read.stream().skip(2).map(Event::step).toList());
  }

  @Test
  void everyStartHasItsOwnFile() throws IOException {
    open(0).close();
    open(5).close();
    try (var files = Files.list(folder)) {
      assertEquals(2, files.filter(f -> f.getFileName().toString().startsWith("events.out.tfevents.1073741824.")).count());
    }
  }

  @Test
  void manyScalarsAreAllThereAndInOrder() throws IOException {
    int count = 100_000;
    TensorBoardEvents events = open(0);
    for (int i = 1; i <= count; i++) {
      events.scalar("loss", i, i);
    }
    events.close();
    List<Event> read = read(events.path());
    assertEquals(count + 2, read.size());
    for (int i = 1; i <= count; i++) {
      assertEquals(i, read.get(i + 1).step);
      assertEquals(i, read.get(i + 1).value);
    }
  }

  @Test
  void scalarsThatTheDiskRefusesAreToldOnce() throws IOException {
    Path file = Files.writeString(folder.resolve("file"), "x");
    try (TensorBoardEvents events = TensorBoardEvents.open(file, 0, trouble::add, CLOCK)) {
      events.scalars(1, Map.of("loss", 1));
      events.scalars(2, Map.of("loss", 1));
    }
    assertEquals(1, trouble.size(), trouble.toString());
  }

  @Test
  void aTagOfNoOrTooManyBytesIsRefused() {
    try (TensorBoardEvents events = open(0)) {
      assertThrows(IllegalArgumentException.class, () -> events.scalar("", 1, 1));
      assertThrows(IllegalArgumentException.class, () -> events.scalar("x".repeat(4097), 1, 1));
      events.scalar("x".repeat(4096), 1, 1);
    }
  }

  /** A reader that shares nothing with the writer: stream of bytes, protobuf fields by number. */
  private static List<Event> read(Path path) throws IOException {
    List<Event> events = new ArrayList<>();
    try (var in = new DataInputStream(new BufferedInputStream(Files.newInputStream(path)))) {
      while (true) {
        byte[] length = in.readNBytes(8);
        if (length.length == 0) {
          return events;
        }
        assertEquals(mask(length), Integer.reverseBytes(in.readInt()));
        byte[] data = in.readNBytes((length[1] & 255) << 8 | length[0] & 255);
        assertEquals(mask(data), Integer.reverseBytes(in.readInt()));
        events.add(event(data));
      }
    }
  }

  private static int mask(byte[] bytes) {
    CRC32C crc = new CRC32C();
    crc.update(bytes);
    long value = crc.getValue();
    return (int) ((value >> 15 | value << 17) + 0xa282ead8L);
  }

  private static Event event(byte[] data) throws IOException {
    Map<Integer, Object> fields = fields(data);
    String tag = null;
    float value = 0;
    if (fields.get(5) instanceof byte[] summary) {
      Map<Integer, Object> inner = fields((byte[]) fields(summary).get(1));
      tag = new String((byte[]) inner.get(1), StandardCharsets.UTF_8);
      value = Float.intBitsToFloat((Integer) inner.get(2));
    }
    int session = fields.get(7) instanceof byte[] log ? ((Long) fields(log).get(1)).intValue() : 0;
    String version = fields.get(3) instanceof byte[] text ? new String(text, StandardCharsets.UTF_8) : null;
    return new Event(Double.longBitsToDouble((Long) fields.get(1)), (Long) fields.getOrDefault(2, 0L), version, tag, value, session);
  }

  private static Map<Integer, Object> fields(byte[] message) throws IOException {
    Map<Integer, Object> fields = new LinkedHashMap<>();
    var in = new DataInputStream(new ByteArrayInputStream(message));
    while (in.available() > 0) {
      int key = (int) varint(in);
      Object value = switch (key & 7) {
        case 0 -> varint(in);
        case 1 -> Long.reverseBytes(in.readLong());
        case 2 -> in.readNBytes((int) varint(in));
        case 5 -> Integer.reverseBytes(in.readInt());
        default -> throw new IOException("wire type " + (key & 7));
      };
      assertTrue(fields.put(key >> 3, value) == null, "field " + (key >> 3) + " twice");
    }
    return fields;
  }

  private static long varint(DataInputStream in) throws IOException {
    long value = 0;
    for (int shift = 0; ; shift += 7) {
      int next = in.readUnsignedByte();
      value |= (long) (next & 127) << shift;
      if (next < 128) {
        return value;
      }
    }
  }
}
