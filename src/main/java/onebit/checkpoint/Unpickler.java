package onebit.checkpoint;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * A pickle as plain values, by a stack machine that only builds containers, scalars and tensor descriptions; nothing is executed.
 *
 * <pre>
 * Values    None, String, Long, Double, Boolean, byte[], Items (list or tuple), Dict, Storage, View; a Callable never leaves the machine
 * Limits    2 MiB of pickle, 100,000 values on the stack, 256 open marks
 * Source    Python's pickletools (opcodes of protocols 2 to 5); PyTorch torch/_utils.py (the rebuild functions)
 * </pre>
 */
final class Unpickler {
  static final int MAX_BYTES = 2 << 20;
  private static final int MAX_STACK = 100_000;
  private static final int MAX_MARKS = 256;

  /** Python's None. */
  enum None { NONE }

  /** A list or a tuple; equal only to itself, so that a hostile nesting is never walked. */
  static final class Items {
    final List<Object> values = new ArrayList<>();
    final boolean tuple;

    Items(boolean tuple) {
      this.tuple = tuple;
    }
  }

  /** A dict or OrderedDict with scalar keys; equal only to itself. */
  static final class Dict {
    final Map<Object, Object> values = new LinkedHashMap<>();
  }

  private record Callable(String name) {}

  /** Elements of one type, kept in the zip entry that the key names. */
  record Storage(DataType type, String key, long elements) {}

  /** A strided window of a storage; sizes are at most 2^31 - 1, strides and offset are in elements. */
  record View(Storage storage, long offset, int[] shape, long[] strides) {}

  private static final Map<String, DataType> STORAGES = Map.of(
      "torch.DoubleStorage", DataType.F64, "torch.FloatStorage", DataType.F32, "torch.HalfStorage", DataType.F16,
      "torch.BFloat16Storage", DataType.BF16, "torch.LongStorage", DataType.I64, "torch.IntStorage", DataType.I32,
      "torch.ShortStorage", DataType.I16, "torch.CharStorage", DataType.I8, "torch.ByteStorage", DataType.U8,
      "torch.BoolStorage", DataType.BOOL);
  private static final String ORDERED_DICT = "collections.OrderedDict";
  private static final String SIZE = "torch.Size";
  private static final String TENSOR = "torch._utils._rebuild_tensor_v2";
  private static final String PARAMETER = "torch._utils._rebuild_parameter";

  private final String label;
  private final ByteBuffer in;
  private final ArrayList<Object> stack = new ArrayList<>();
  private final ArrayList<Integer> marks = new ArrayList<>();
  private final Map<Integer, Object> memo = new HashMap<>();

  private Unpickler(String label, ByteBuffer pickle) {
    this.label = label;
    this.in = pickle.slice().order(ByteOrder.LITTLE_ENDIAN);
  }

  /** @throws CheckpointException when the pickle is damaged or uses an opcode or a global that is not on the list */
  static Object read(String label, ByteBuffer pickle) throws CheckpointException {
    if (pickle.remaining() > MAX_BYTES) throw new CheckpointException(label + ": the pickle has " + pickle.remaining() + " bytes; at most " + MAX_BYTES + " are allowed");
    return new Unpickler(label, pickle).run();
  }

  private Object run() throws CheckpointException {
    while (true) {
      int op = u8();
      switch (op) {
        case 0x80 -> requireProtocol(u8());
        case 0x95 -> take(8);                                          // FRAME
        case '.' -> {
          if (stack.size() != 1 || !marks.isEmpty()) throw refused("STOP finds " + stack.size() + " values; one is needed");
          if (in.hasRemaining()) throw refused(in.remaining() + " bytes follow STOP");
          return pop();
        }
        case '(' -> mark();
        case '0' -> pop();
        case '1' -> popToMark();
        case 'N' -> push(None.NONE);
        case 0x88 -> push(true);
        case 0x89 -> push(false);
        case 'K' -> push((long) u8());
        case 'M' -> push(take(2).getShort() & 0xFFFFL);
        case 'J' -> push((long) take(4).getInt());
        case 0x8a -> push(littleLong(u8()));                           // LONG1
        case 'G' -> push(take(8).order(ByteOrder.BIG_ENDIAN).getDouble());
        case 0x8c -> push(text(u8()));                                 // SHORT_BINUNICODE
        case 'X' -> push(text(length4()));
        case 0x8d -> push(text(length8()));                            // BINUNICODE8
        case 'U' -> push(bytes(u8()));                                 // SHORT_BINSTRING
        case 'T' -> push(bytes(length4()));
        case 'C' -> push(bytes(u8()));                                 // SHORT_BINBYTES
        case 'B' -> push(bytes(length4()));
        case 0x8e -> push(bytes(length8()));                           // BINBYTES8
        case ']' -> push(new Items(false));
        case ')' -> push(new Items(true));
        case '}' -> push(new Dict());
        case 't' -> push(items(true, popToMark()));
        case 'l' -> push(items(false, popToMark()));
        case 0x85 -> push(items(true, pop(1)));
        case 0x86 -> push(items(true, pop(2)));
        case 0x87 -> push(items(true, pop(3)));
        case 'a' -> append(pop(1));
        case 'e' -> append(popToMark());
        case 's' -> setItems(pop(2));
        case 'u' -> setItems(popToMark());
        case 'q' -> memo.put(u8(), peek());
        case 'r' -> memo.put(index4(), peek());
        case 0x94 -> memo.put(memo.size(), peek());                    // MEMOIZE
        case 'h' -> push(recall(u8()));
        case 'j' -> push(recall(index4()));
        case 'c' -> push(callable(line() + "." + line()));
        case 0x93 -> {                                                 // STACK_GLOBAL
          Object name = pop();
          Object module = pop();
          if (!(name instanceof String n) || !(module instanceof String m)) throw refused("STACK_GLOBAL needs two strings");
          push(callable(m + "." + n));
        }
        case 'Q' -> push(storage(pop()));                              // BINPERSID
        case 'R' -> {
          Object arguments = pop();
          push(call(pop(), arguments));
        }
        case 'b' -> build();
        default -> throw refused("opcode 0x" + Integer.toHexString(op) + (op > 32 && op < 127 ? " '" + (char) op + "'" : "") + " is not allowed");
      }
    }
  }

  private void requireProtocol(int protocol) throws CheckpointException {
    if (protocol < 2 || protocol > 5) throw refused("pickle protocol " + protocol + " is not known; 2 to 5 are");
  }

  private Object callable(String name) throws CheckpointException {
    if (STORAGES.containsKey(name) || List.of(ORDERED_DICT, SIZE, TENSOR, PARAMETER).contains(name)) return new Callable(name);
    throw refused("global " + NamedTensor.excerpt(name) + " is not allowed");
  }

  private Object storage(Object id) throws CheckpointException {
    if (id instanceof Items items && items.tuple && items.values.size() == 5
        && "storage".equals(items.values.get(0))
        && items.values.get(1) instanceof Callable kind && STORAGES.containsKey(kind.name)
        && items.values.get(2) instanceof String key
        && items.values.get(3) instanceof String
        && items.values.get(4) instanceof Long elements && elements >= 0) {
      return new Storage(STORAGES.get(kind.name), key, elements);
    }
    throw refused("a persistent id is not (storage, type, key, location, size)");
  }

  private Object call(Object target, Object arguments) throws CheckpointException {
    if (!(target instanceof Callable callable)) throw refused("REDUCE calls " + kind(target) + "; only the listed globals can be called");
    if (!(arguments instanceof Items items) || !items.tuple) throw refused("REDUCE of " + callable.name + " without a tuple of arguments");
    List<Object> values = items.values;
    return switch (callable.name) {
      case ORDERED_DICT -> {
        if (!values.isEmpty()) throw refused("OrderedDict with arguments; PyTorch writes an empty one and sets its items");
        yield new Dict();
      }
      case SIZE -> {
        if (values.size() != 1 || !(values.getFirst() instanceof Items size)) throw refused("torch.Size needs one tuple");
        yield size;
      }
      case TENSOR -> tensor(values);
      case PARAMETER -> {
        if (values.size() != 3 || !(values.getFirst() instanceof View view)) throw refused(PARAMETER + " needs a tensor and two more arguments");
        yield view;
      }
      default -> throw refused("REDUCE of " + callable.name + " is not allowed");
    };
  }

  private View tensor(List<Object> arguments) throws CheckpointException {
    if (arguments.size() < 6 || arguments.size() > 7
        || !(arguments.get(0) instanceof Storage storage)
        || !(arguments.get(1) instanceof Long offset)
        || !(arguments.get(2) instanceof Items sizes)
        || !(arguments.get(3) instanceof Items steps)) {
      throw refused("_rebuild_tensor_v2 needs (storage, offset, sizes, strides, requires_grad, hooks)");
    }
    if (arguments.size() == 7 && arguments.get(6) != None.NONE && !(arguments.get(6) instanceof Dict flags && flags.values.isEmpty())) {
      throw refused("a tensor is marked as the negative or conjugate of what is stored; save its resolve_conj().resolve_neg()");
    }
    int rank = sizes.values.size();
    if (rank > NamedTensor.MAX_RANK || steps.values.size() != rank) {
      throw refused("a tensor has " + rank + " sizes and " + steps.values.size() + " strides; equal numbers up to " + NamedTensor.MAX_RANK + " are allowed");
    }
    int[] shape = new int[rank];
    long[] strides = new long[rank];
    boolean empty = false;
    for (int i = 0; i < rank; i++) {
      if (!(sizes.values.get(i) instanceof Long size) || size < 0 || size > Integer.MAX_VALUE) throw refused("a tensor size is not a whole number of 0 to 2^31 - 1");
      if (!(steps.values.get(i) instanceof Long stride) || stride < 0) throw refused("a tensor stride is not a whole number >= 0");
      shape[i] = size.intValue();
      strides[i] = stride;
      empty |= size == 0;
    }
    try {
      long end = offset;
      for (int i = 0; i < rank && !empty; i++) end = Math.addExact(end, Math.multiplyExact(shape[i] - 1L, strides[i]));
      if (offset < 0 || (empty ? end > storage.elements : end >= storage.elements)) {
        throw refused("a tensor of sizes " + Arrays.toString(shape) + ", strides " + Arrays.toString(strides) + " at offset " + offset
            + " leaves its storage of " + storage.elements + " elements");
      }
      storage.type.bytes(shape);
    } catch (ArithmeticException e) {
      throw refused("a tensor of sizes " + Arrays.toString(shape) + " and strides " + Arrays.toString(strides) + " overflows");
    }
    return new View(storage, offset, shape, strides);
  }

  private void build() throws CheckpointException {
    Object state = pop();
    if (!(peek() instanceof Dict) || !(state instanceof Dict)) throw refused("BUILD of " + kind(peek()) + " is not allowed; only an OrderedDict has attributes here");
  }

  private void append(List<Object> values) throws CheckpointException {
    if (!(peek() instanceof Items items) || items.tuple) throw refused("APPEND to " + kind(peek()) + "; a list is needed");
    items.values.addAll(values);
  }

  private void setItems(List<Object> values) throws CheckpointException {
    if (!(peek() instanceof Dict dict)) throw refused("SETITEM on " + kind(peek()) + "; a dict is needed");
    if (values.size() % 2 != 0) throw refused("SETITEMS with an odd number of values");
    for (int i = 0; i < values.size(); i += 2) put(dict, values.get(i), values.get(i + 1));
  }

  private void put(Dict dict, Object key, Object value) throws CheckpointException {
    if (!(key instanceof String || key instanceof Long || key instanceof Double || key instanceof Boolean)) {
      throw refused("a dict key is " + kind(key) + "; strings and numbers are allowed");
    }
    if (value instanceof Callable callable) throw refused("global " + callable.name + " is used as a value");
    if (dict.values.putIfAbsent(key, value) != null) throw refused("the dict key " + NamedTensor.excerpt(key.toString()) + " appears twice");
  }

  private static Items items(boolean tuple, List<Object> values) {
    Items items = new Items(tuple);
    items.values.addAll(values);
    return items;
  }

  private void push(Object value) throws CheckpointException {
    if (stack.size() >= MAX_STACK) throw refused("more than " + MAX_STACK + " values on the stack");
    stack.add(value);
  }

  private void mark() throws CheckpointException {
    if (marks.size() >= MAX_MARKS) throw refused("nesting is deeper than " + MAX_MARKS + " marks");
    marks.add(stack.size());
  }

  private Object peek() throws CheckpointException {
    int floor = marks.isEmpty() ? 0 : marks.getLast();
    if (stack.size() <= floor) throw refused("the stack is empty where a value is needed");
    return stack.getLast();
  }

  private Object pop() throws CheckpointException {
    peek();
    return stack.removeLast();
  }

  private List<Object> pop(int count) throws CheckpointException {
    Object[] values = new Object[count];
    for (int i = count - 1; i >= 0; i--) values[i] = pop();
    return Arrays.asList(values);
  }

  private List<Object> popToMark() throws CheckpointException {
    if (marks.isEmpty()) throw refused("a mark is missing");
    List<Object> top = stack.subList(marks.removeLast(), stack.size());
    List<Object> values = new ArrayList<>(top);
    top.clear();
    return values;
  }

  private Object recall(int index) throws CheckpointException {
    Object value = memo.get(index);
    if (value == null) throw refused("memo " + index + " was never stored");
    return value;
  }

  private ByteBuffer take(int count) throws CheckpointException {
    if (count > in.remaining()) throw refused("it is cut short: " + count + " bytes wanted, " + in.remaining() + " left");
    ByteBuffer part = in.slice(in.position(), count).order(ByteOrder.LITTLE_ENDIAN);
    in.position(in.position() + count);
    return part;
  }

  private int u8() throws CheckpointException {
    return take(1).get() & 0xFF;
  }

  private int index4() throws CheckpointException {
    int index = take(4).getInt();
    if (index < 0) throw refused("memo " + Integer.toUnsignedString(index) + " is out of range");
    return index;
  }

  private int length4() throws CheckpointException {
    return checked(take(4).getInt() & 0xFFFFFFFFL);
  }

  private int length8() throws CheckpointException {
    return checked(take(8).getLong());
  }

  private int checked(long length) throws CheckpointException {
    if (length < 0 || length > in.remaining()) throw refused("it is cut short: " + Long.toUnsignedString(length) + " bytes wanted, " + in.remaining() + " left");
    return (int) length;
  }

  private byte[] bytes(int count) throws CheckpointException {
    byte[] value = new byte[count];
    take(count).get(value);
    return value;
  }

  private String text(int count) throws CheckpointException {
    try {
      return StandardCharsets.UTF_8.newDecoder().decode(take(count)).toString();
    } catch (CharacterCodingException e) {
      throw refused("a string is not valid UTF-8");
    }
  }

  private String line() throws CheckpointException {
    int start = in.position();
    while (u8() != '\n') { }
    return StandardCharsets.ISO_8859_1.decode(in.slice(start, in.position() - 1 - start)).toString();
  }

  private long littleLong(int count) throws CheckpointException {
    if (count > 8) throw refused("a whole number has " + count + " bytes; at most 8 are allowed");
    ByteBuffer digits = take(count);
    long value = 0;
    for (int i = 0; i < count; i++) value |= (digits.get(i) & 0xFFL) << (8 * i);
    int unused = 64 - 8 * count;
    return count == 0 ? 0 : value << unused >> unused;
  }

  private static String kind(Object value) {
    return switch (value) {
      case Callable callable -> "global " + callable.name;
      case Items items -> items.tuple ? "a tuple" : "a list";
      case Dict _ -> "a dict";
      case View _ -> "a tensor";
      case Storage _ -> "a storage";
      case None _ -> "None";
      case byte[] _ -> "a byte string";
      default -> "a " + value.getClass().getSimpleName();
    };
  }

  private CheckpointException refused(String why) {
    return new CheckpointException(label + ": pickle refused at byte " + Math.max(0, in.position() - 1) + ": " + why);
  }
}
