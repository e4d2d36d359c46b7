package onebit.report;

import java.io.StringWriter;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.util.LinkedHashMap;
import java.util.Map;
import tools.jackson.core.JacksonException;
import tools.jackson.core.JsonGenerator;
import tools.jackson.core.JsonParser;
import tools.jackson.core.JsonToken;
import tools.jackson.core.ObjectReadContext;
import tools.jackson.core.ObjectWriteContext;
import tools.jackson.core.StreamReadFeature;
import tools.jackson.core.json.JsonFactory;

/**
 * One JSON object on one line, its members in the order of the map.
 *
 * <p>Values are numbers, strings, booleans, null, enums (by name), maps with string keys, iterables and arrays of
 * numbers. NaN and the infinities have no JSON form and become null.
 */
public final class Json {
  private static final JsonFactory FACTORY =
      JsonFactory.builder().enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION).build();

  private Json() {}

  /**
   * The line, without a line end.
   *
   * @throws IllegalArgumentException a value of a type that is not listed above
   */
  public static String object(Map<String, ?> members) {
    StringWriter text = new StringWriter();
    try (JsonGenerator out = FACTORY.createGenerator(ObjectWriteContext.empty(), text)) {
      write(out, "", members);
    }
    return text.toString();
  }

  private static void write(JsonGenerator out, String name, Object value) {
    switch (value) {
      case null -> out.writeNull();
      case Boolean b -> out.writeBoolean(b);
      case Double d when !Double.isFinite(d) -> out.writeNull();
      case Float f when !Float.isFinite(f) -> out.writeNull();
      case Double d -> out.writeNumber(d);
      case Float f -> out.writeNumber(f);
      case BigInteger big -> out.writeNumber(big);
      case BigDecimal big -> out.writeNumber(big);
      case Number n -> out.writeNumber(n.longValue());
      case CharSequence s -> out.writeString(s.toString());
      case Enum<?> e -> out.writeString(e.name());
      case Map<?, ?> map -> {
        out.writeStartObject();
        map.forEach((key, member) -> {
          out.writeName(String.valueOf(key));
          write(out, String.valueOf(key), member);
        });
        out.writeEndObject();
      }
      case Iterable<?> list -> {
        out.writeStartArray();
        list.forEach(element -> write(out, name, element));
        out.writeEndArray();
      }
      case int[] array -> out.writeArray(array, 0, array.length);
      case long[] array -> out.writeArray(array, 0, array.length);
      case double[] array -> {
        out.writeStartArray();
        for (double element : array) {
          write(out, name, element);
        }
        out.writeEndArray();
      }
      case float[] array -> {
        out.writeStartArray();
        for (float element : array) {
          write(out, name, element);
        }
        out.writeEndArray();
      }
      default -> throw new IllegalArgumentException(
          "Json: member '" + name + "' is a " + value.getClass().getSimpleName() + "; it must be a number, text, boolean, list or map");
    }
  }

  /**
   * The members of an object whose values are numbers, strings, booleans or null, in their order.
   *
   * @throws IllegalArgumentException {@code line} is not exactly one such object
   */
  public static Map<String, Object> flat(String line) {
    Map<String, Object> members = new LinkedHashMap<>();
    try (JsonParser in = FACTORY.createParser(ObjectReadContext.empty(), line)) {
      if (in.nextToken() != JsonToken.START_OBJECT) {
        throw new IllegalArgumentException("Json: the line is not an object");
      }
      while (in.nextToken() == JsonToken.PROPERTY_NAME) {
        String name = in.currentName();
        members.put(name, switch (in.nextToken()) {
          case VALUE_NUMBER_INT -> in.getBigIntegerValue().bitLength() < 64 ? (Number) in.getLongValue() : in.getBigIntegerValue();
          case VALUE_NUMBER_FLOAT -> in.getDoubleValue();
          case VALUE_STRING -> in.getString();
          case VALUE_TRUE -> Boolean.TRUE;
          case VALUE_FALSE -> Boolean.FALSE;
          case VALUE_NULL -> null;
          case null, default -> throw new IllegalArgumentException("Json: member '" + name + "' is not a plain value");
        });
      }
      if (in.currentToken() != JsonToken.END_OBJECT || in.nextToken() != null) {
        throw new IllegalArgumentException("Json: the line does not end with its object");
      }
    } catch (JacksonException broken) {
      throw new IllegalArgumentException("Json: " + broken.getOriginalMessage(), broken);
    }
    return members;
  }
}
