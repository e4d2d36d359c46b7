package onebit.ops.cuda;

import java.io.File;
import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * Where the CUDA libraries of this machine are: cuBLAS 12 or 13 with its cublasLt, cuDNN 8 or 9, and a driver if one was named.
 *
 * <pre>
 * Units    versions are the number behind {@code .so.}, 0 where nothing was found
 * </pre>
 */
public record CudaLibraries(Optional<Path> driver, Optional<Path> cublasLt, Optional<Path> cublas, int cublasVersion, Optional<Path> cudnn,
                            int cudnnVersion, List<Path> searched) {
  public CudaLibraries {
    searched = List.copyOf(searched);
  }

  /**
   * The first cuBLAS and the first cuDNN along {@code ONEBIT_CUDA_LIBS}, the loader path, the CUDA toolkit, and packages of pip; in one
   * folder the older version, which needs no relabelling, goes first. The driver is left to the loader.
   */
  public static CudaLibraries find() {
    return search(System.getenv(), Path.of(System.getProperty("user.home")), Path.of("/"));
  }

  /** The libraries of one folder, with its own driver: the emulated device. */
  public static CudaLibraries in(Path folder) {
    CudaLibraries found = of(List.of(folder));
    Path driver = folder.resolve("libcuda.so.1").toAbsolutePath();
    return new CudaLibraries(Files.exists(driver) ? Optional.of(driver) : Optional.empty(), found.cublasLt, found.cublas, found.cublasVersion,
        found.cudnn, found.cudnnVersion, found.searched);
  }

  static CudaLibraries search(Map<String, String> environment, Path home, Path root) {
    Set<Path> folders = new LinkedHashSet<>();
    addPathList(folders, environment.get("ONEBIT_CUDA_LIBS"));
    addPathList(folders, environment.get("LD_LIBRARY_PATH"));
    for (String f : List.of("usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu", "usr/lib64", "usr/lib")) {
      folders.add(root.resolve(f));
    }
    for (String variable : List.of("CUDA_HOME", "CUDA_PATH")) {
      String toolkit = environment.get(variable);
      if (toolkit != null && !toolkit.isBlank()) {
        addToolkit(folders, Path.of(toolkit));
      }
    }
    addToolkit(folders, root.resolve("usr/local/cuda"));
    for (Path toolkit : list(root.resolve("usr/local"), "cuda-*")) {
      addToolkit(folders, toolkit);
    }
    List<Path> python = new ArrayList<>();
    for (String variable : List.of("VIRTUAL_ENV", "CONDA_PREFIX")) {
      String prefix = environment.get(variable);
      if (prefix != null && !prefix.isBlank()) {
        python.add(Path.of(prefix, "lib"));
      }
    }
    python.addAll(List.of(home.resolve(".local/lib"), root.resolve("usr/local/lib"), root.resolve("usr/lib")));
    for (Path lib : python) {
      for (Path version : list(lib, "python3*")) {
        for (String packages : List.of("site-packages", "dist-packages")) {
          for (Path nvidia : list(version.resolve(packages).resolve("nvidia"), "*")) {
            folders.add(nvidia.resolve("lib"));
          }
        }
      }
    }
    return of(List.copyOf(folders));
  }

  private static CudaLibraries of(List<Path> folders) {
    Found cublas = first(folders, "libcublas.so.", 12, 13);
    Found cudnn = first(folders, "libcudnn.so.", 8, 9);
    Optional<Path> lt = Optional.empty();
    if (cublas.version > 0) {
      // cublasLt of the same version: beside cuBLAS, or wherever the search finds it
      Path beside = cublas.file.orElseThrow().resolveSibling("libcublasLt.so." + cublas.version);
      lt = Files.exists(beside) ? Optional.of(beside) : first(folders, "libcublasLt.so.", cublas.version, cublas.version).file;
    }
    return new CudaLibraries(Optional.empty(), lt, cublas.file, cublas.version, cudnn.file, cudnn.version, folders);
  }

  private record Found(Optional<Path> file, int version) {}

  private static Found first(List<Path> folders, String name, int from, int to) {
    for (Path folder : folders) {
      for (int version = from; version <= to; version++) {
        Path file = folder.resolve(name + version);
        if (Files.exists(file)) {
          return new Found(Optional.of(file.toAbsolutePath()), version);
        }
      }
    }
    return new Found(Optional.empty(), 0);
  }

  private static void addPathList(Set<Path> folders, String list) {
    if (list != null) {
      for (String folder : list.split(File.pathSeparator)) {
        if (!folder.isBlank()) {
          folders.add(Path.of(folder));
        }
      }
    }
  }

  private static void addToolkit(Set<Path> folders, Path toolkit) {
    folders.add(toolkit.resolve("lib64"));
    folders.add(toolkit.resolve("targets/x86_64-linux/lib"));
  }

  private static List<Path> list(Path folder, String glob) {
    List<Path> entries = new ArrayList<>();
    if (Files.isDirectory(folder)) {
      try (DirectoryStream<Path> stream = Files.newDirectoryStream(folder, glob)) {
        stream.forEach(entries::add);
      } catch (IOException unreadable) {
        return List.of();   // a folder that cannot be read holds no library for us
      }
    }
    entries.sort(null);
    return entries;
  }
}
