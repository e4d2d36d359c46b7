package onebit.checkpoint;

import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.Map;
import tools.jackson.core.JacksonException;
import tools.jackson.core.JsonGenerator;
import tools.jackson.core.JsonParser;
import tools.jackson.core.JsonToken;
import tools.jackson.core.ObjectReadContext;
import tools.jackson.core.ObjectWriteContext;
import tools.jackson.core.json.JsonFactory;

/** One flat JSON object of strings, in the order of the map. */
final class StateJson {
  private static final JsonFactory JSON = new JsonFactory();

  private StateJson() {}

  static byte[] write(Map<String, String> state) {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    try (JsonGenerator json = JSON.createGenerator(ObjectWriteContext.empty(), out)) {
      json.writeStartObject();
      state.forEach(json::writeStringProperty);
      json.writeEndObject();
    }
    return out.toByteArray();
  }

  static Map<String, String> read(String label, ByteBuffer text) throws CheckpointException {
    Map<String, String> state = new LinkedHashMap<>();
    try (JsonParser json = JSON.createParser(ObjectReadContext.empty(), StandardCharsets.UTF_8.decode(text.duplicate()).toString())) {
      if (json.nextToken() != JsonToken.START_OBJECT) throw new CheckpointException(label + " is not a JSON object");
      while (json.nextToken() != JsonToken.END_OBJECT) {
        String key = json.currentName();
        if (json.nextToken() != JsonToken.VALUE_STRING) throw new CheckpointException(label + ": " + NamedTensor.excerpt(key) + " is not a string");
        if (state.put(key, json.getString()) != null) throw new CheckpointException(label + ": " + NamedTensor.excerpt(key) + " appears twice");
      }
      return state;
    } catch (JacksonException e) {
      throw new CheckpointException(label + " is not valid JSON: " + NamedTensor.excerpt(e.getOriginalMessage()), e);
    }
  }
}
