package onebit.data;

import static onebit.data.ImageNetArchivesTest.element;
import static onebit.data.ImageNetArchivesTest.ints;
import static onebit.data.ImageNetArchivesTest.matrix;
import static onebit.data.ImageNetArchivesTest.small;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.zip.DeflaterOutputStream;
import org.junit.jupiter.api.Test;

/** Files of MATLAB element by element, as its own manual writes them and wrong. */
class MatStructsTest {
  /** A MATLAB file of one matrix. */
  private static byte[] mat(byte[] matrix) {
    return ByteBuffer.allocate(136 + matrix.length).order(ByteOrder.LITTLE_ENDIAN).position(124).putShort((short) 0x0100).put((byte) 'I').put((byte) 'M').putInt(14).putInt(matrix.length)
        .put(matrix).array();
  }

  /** The content of an array of structures with the fields ILSVRC2012_ID and WNID, in turn; names have that many bytes. */
  private static byte[] structs(int nameBytes, byte[]... fields) {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    out.writeBytes(element(6, ints(2, 0)));
    out.writeBytes(element(5, ints(fields.length / 2, 1)));
    out.writeBytes(element(1, new byte[0]));
    out.writeBytes(small(5, ints(nameBytes)));
    byte[] names = Arrays.copyOf("ILSVRC2012_ID".getBytes(), 2 * nameBytes);
    System.arraycopy("WNID".getBytes(), 0, names, nameBytes, 4);
    out.writeBytes(element(1, names));
    for (byte[] field : fields) out.writeBytes(element(14, field));
    return out.toByteArray();
  }

  /** MATLAB stores whole numbers in the smallest kind that holds them: IDs above 255 in two bytes. */
  @Test void everyKindOfNumberAndTextIsRead() throws IOException {
    byte[] real = ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN).putDouble(1860).array();
    byte[][] numbers = {small(1, new byte[] {7}), small(2, new byte[] {-1}), small(3, new byte[] {0x2C, 1}), small(4, new byte[] {0x44, 7}), small(4, new byte[] {0, -1}),
        small(5, ints(70_000)), small(6, ints(70_001)), element(9, real)};
    int[] kinds = {16, 17, 4, 2, 1, 16, 16, 17};
    byte[][] fields = new byte[2 * numbers.length][];
    List<MatStructs.Pair> expected = new ArrayList<>();
    long[] values = {7, 255, 300, 1860, 65280, 70_000, 70_001, 1860};
    for (int i = 0; i < numbers.length; i++) {
      boolean wide = kinds[i] == 4 || kinds[i] == 17;
      fields[2 * i] = matrix(6, numbers[i], 1);
      fields[2 * i + 1] = matrix(4, element(kinds[i], ("n0" + i).getBytes(wide ? StandardCharsets.UTF_16LE : StandardCharsets.UTF_8)), 3);
      expected.add(new MatStructs.Pair(values[i], "n0" + i));
    }
    assertEquals(expected, MatStructs.read("m", mat(structs(20, fields)), "ILSVRC2012_ID", "WNID"));
  }

  @Test void matlabFilesThatCannotBeAreRefused() throws IOException {
    byte[] one = matrix(6, small(2, new byte[] {7}), 1), name = matrix(4, element(16, "n01".getBytes()), 3), single = matrix(6, small(7, new byte[4]), 1), pair = matrix(6, small(2, new byte[] {7, 8}), 2);
    byte[] deep = structs(20, one, name);
    for (int i = 0; i < 8; i++) deep = structs(20, one, deep);
    ByteArrayOutputStream bomb = new ByteArrayOutputStream();
    try (DeflaterOutputStream zip = new DeflaterOutputStream(bomb)) {
      for (int i = 0; i < 65; i++) zip.write(new byte[1 << 20]);
    }
    byte[] large = ByteBuffer.allocate(136 + bomb.size()).order(ByteOrder.LITTLE_ENDIAN).put(mat(new byte[0])).putInt(128, 15).putInt(132, bomb.size()).put(136, bomb.toByteArray()).array();
    Object[][] cases = {{mat(structs(20, single, name)), "as numbers of kind 7"}, {mat(structs(20, pair, name)), "has 0 fields ILSVRC2012_ID and 1 fields WNID"}, {mat(structs(65, one, name)), "field names of 65 bytes"},
        {mat(deep), "nested deeper than 8"}, {large, "unpacks to more than 67108864 bytes"}, {Arrays.copyOf(large, large.length - 40), "cut short or damaged"}, {new byte[200], "is not a little-endian MATLAB 5 file"}};
    for (Object[] c : cases) {
      String message = assertThrows(IOException.class, () -> MatStructs.read("m", (byte[]) c[0], "ILSVRC2012_ID", "WNID"), c[1].toString()).getMessage();
      assertTrue(message.startsWith("m: ") && message.contains(c[1].toString()), message);
    }
  }
}
