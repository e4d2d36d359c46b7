package onebit.cli;

import java.io.IOException;
import java.nio.charset.MalformedInputException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.function.Consumer;
import onebit.ops.Backend;
import onebit.ops.cuda.CudaBackend;
import onebit.ops.cuda.Tuning;
import onebit.report.Json;

/**
 * The choices of {@link Tuning} in a file, one JSON object a line, for many devices.
 *
 * <pre>
 * Encoding  {"device":NAME,"driver":VERSION,"kernels":HASH,"shape":OP AND SHAPE,"way":NAME,"millis":TIME}; of equal shapes the last line holds
 * </pre>
 *
 * @param device name of the device, version of its driver with that of cuDNN, and hash of the kernels: choices of another driver or other kernels are not used
 */
record TuningFile(Path path, Device device, boolean writes, Consumer<String> tell) {
  /** What a choice was measured on. */
  record Device(String name, String driver, String kernels) {}

  /**
   * Lets the backend take what is fastest by the file; where nothing may be timed, says so.
   *
   * @throws IllegalArgumentException if the backend is no CUDA device
   */
  static void use(Path path, Backend backend, boolean deterministic, boolean writes, Consumer<String> tell) throws IOException {
    if (!(backend instanceof CudaBackend cuda)) throw refused(backend.name());
    if (cuda.isEmulated()) {
      tell.accept("tuning: cuda-emulated is a test device and never timed; the usual ways are taken");
    } else if (deterministic) {
      tell.accept("tuning: train.deterministic is true, so nothing is timed and " + path + " is not read; --set train.deterministic=false lets the fastest be taken");
    } else {
      List<String> of = cuda.identity();
      cuda.useTuning(new TuningFile(path, new Device(of.get(0), of.get(1), of.get(2)), writes, tell).open());
    }
  }

  /** The choices measured on this device, and where new ones go. */
  Tuning open() throws IOException {
    return new Tuning(read(), this::append, tell);
  }

  /** What was measured on this device with this driver and these kernels. */
  List<Tuning.Choice> read() throws IOException {
    List<Tuning.Choice> all = new ArrayList<>();
    int stale = 0, number = 0;
    List<String> lines;
    try {
      lines = Files.readAllLines(path);
    } catch (NoSuchFileException none) {
      return all;
    } catch (MalformedInputException damaged) {
      tell.accept("tuning: " + path + " is no text; its choices are measured anew");
      return all;
    }
    for (String line : lines) {
      number++;
      try {
        Map<String, Object> members = Json.flat(line);
        if (!device.name.equals(members.get("device"))) continue;
        if (!device.driver.equals(members.get("driver")) || !device.kernels.equals(members.get("kernels"))) {
          stale++;
          continue;
        }
        all.add(new Tuning.Choice(Objects.requireNonNull((String) members.get("shape")), Objects.requireNonNull((String) members.get("way")),
            ((Number) members.get("millis")).doubleValue()));
      } catch (IllegalArgumentException | ClassCastException | NullPointerException damaged) {
        tell.accept("tuning: " + path + ", line " + number + " is damaged; what it chose is measured anew");
      }
    }
    if (stale > 0) tell.accept("tuning: " + stale + " choices of " + path + " are of another driver or other kernels; they are measured anew");
    return all;
  }

  /** Writes a choice behind the others; a disk that refuses is told, and the run goes on. */
  void append(Tuning.Choice choice) {
    if (!writes) return;
    Map<String, Object> members = new LinkedHashMap<>();
    members.put("device", device.name);
    members.put("driver", device.driver);
    members.put("kernels", device.kernels);
    members.put("shape", choice.shape());
    members.put("way", choice.way());
    members.put("millis", choice.millis());
    try {
      boolean open = Files.exists(path) && Files.size(path) > 0 && !Files.readString(path, StandardCharsets.ISO_8859_1).endsWith("\n");
      Files.writeString(path, (open ? "\n" : "") + Json.object(members) + "\n", StandardOpenOption.CREATE, StandardOpenOption.APPEND);
    } catch (IOException e) {
      tell.accept("tuning: " + path + " was not written: " + e.getMessage());
    }
  }

  /** What is said where a tuning file is named for another device. */
  static IllegalArgumentException refused(String device) {
    return new IllegalArgumentException("--tuning is about a CUDA device; the device is " + device);
  }
}
