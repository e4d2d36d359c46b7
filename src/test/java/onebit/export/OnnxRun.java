package onebit.export;

import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OnnxModelMetadata;
import ai.onnxruntime.OnnxValue;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession;
import java.nio.FloatBuffer;
import java.util.HashMap;
import java.util.Map;
import onebit.tensor.Shape;

/** An ONNX file in ONNX Runtime, on one thread. */
final class OnnxRun implements AutoCloseable {
  private final OrtEnvironment environment = OrtEnvironment.getEnvironment();
  private final OrtSession session;

  OnnxRun(byte[] file) throws OrtException {
    try (OrtSession.SessionOptions options = new OrtSession.SessionOptions()) {
      options.setIntraOpNumThreads(1);
      session = environment.createSession(file, options);
    }
  }

  /** The outputs by name for images of bytes, N,H,W,C. */
  Map<String, float[]> of(byte[] pixels, Shape shape) throws OrtException {
    float[] parts = new float[pixels.length];
    for (int i = 0; i < parts.length; i++) parts[i] = (pixels[i] & 255) / 255f;
    return of(parts, shape);
  }

  /** The same for real values. */
  Map<String, float[]> of(float[] values, Shape s) throws OrtException {
    float[] planar = new float[values.length];
    int pixels = s.d1() * s.d2(), at = 0;
    for (int n = 0; n < s.d0(); n++) {
      for (int c = 0; c < s.d3(); c++) {
        for (int p = 0; p < pixels; p++) planar[at++] = values[(n * pixels + p) * s.d3() + c];
      }
    }
    Map<String, float[]> all = new HashMap<>();
    try (OnnxTensor x = OnnxTensor.createTensor(environment, FloatBuffer.wrap(planar), new long[] {s.d0(), s.d3(), s.d1(), s.d2()});
        OrtSession.Result result = session.run(Map.of("images", x))) {
      for (Map.Entry<String, OnnxValue> entry : result) {
        FloatBuffer from = ((OnnxTensor) entry.getValue()).getFloatBuffer();
        float[] to = new float[from.remaining()];
        from.get(to);
        all.put(entry.getKey(), to);
      }
    }
    return all;
  }

  /** Producer, graph, description and what else the file says of itself. */
  String words() throws OrtException {
    OnnxModelMetadata said = session.getMetadata();
    return said.getProducerName() + " " + said.getGraphName() + " " + said.getDescription() + " " + said.getCustomMetadata();
  }

  @Override
  public void close() throws OrtException {
    session.close();
  }
}
