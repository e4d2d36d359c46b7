package onebit.layers;

import java.util.ArrayList;
import java.util.List;

/** Finds, in a network as its authors describe it, the layers that run as one. */
public final class Fusion {
  private Fusion() {}

  /**
   * The layers with every run of binary units made one chain, after their norms or before, every dense run one block, and every real convolution and other
   * norm one unit with what follows; in a pyramid likewise in each stage.
   */
  public static List<Layer> fuse(List<? extends Layer> layers) {
    return fuse(layers, false);
  }

  /** The same of a teacher, whose blocks of real convolutions are units, too. */
  public static List<Layer> fuseFrozen(List<? extends Layer> layers) {
    return fuse(layers, true);
  }

  private static List<Layer> fuse(List<? extends Layer> layers, boolean frozen) {
    List<Layer> all = new ArrayList<>(), run = new ArrayList<>();
    for (int i = 0; i < layers.size();) {
      int binary = BinaryChain.length(layers, i);
      if (binary > 0) {
        run.add(layers.get(i) instanceof Residual residual ? withFusedShortcut(residual) : layers.get(i));
        run.addAll(layers.subList(i + 1, i + binary));
        i += binary;
        continue;
      }
      end(run, all);
      if (layers.get(i) instanceof Pyramid pyramid) {
        all.add(pyramid.withStages(stage -> stage instanceof Sequential sequence ? new Sequential(fuse(sequence.children(), frozen)) : stage));
        i++;
        continue;
      }
      if (frozen && FrozenBlock.begins(layers, i)) {
        all.add(new FrozenBlock(withFusedShortcut((Residual) layers.get(i)), (Activate) layers.get(i + 1)));
        i += 2;
        continue;
      }
      int dense = DenseBlock.length(layers, i), chain = PreNormChain.length(layers, i), norm = NormUnit.length(layers, i);
      int taken = Math.max(1, Math.max(chain, Math.max(dense, norm)));
      List<? extends Layer> together = layers.subList(i, i + taken);
      all.add(dense > 0 ? new DenseBlock(together) : chain > 0 ? new PreNormChain(together) : norm > 0 ? new NormUnit(new Sequential(together)) : layers.get(i));
      i += taken;
    }
    end(run, all);
    return all;
  }

  private static void end(List<Layer> run, List<Layer> all) {
    if (!run.isEmpty()) all.add(new BinaryChain(new Sequential(run)));
    run.clear();
  }

  private static Residual withFusedShortcut(Residual residual) {
    return residual.shortcut() instanceof Sequential layers && Residual.narrowing(layers) == null
        ? new Residual(residual.body(), new Sequential(fuse(layers.children()))) : residual;
  }
}
