package onebit.ops;

import onebit.ops.FusedOps.Binarization;
import onebit.ops.FusedOps.Incoming;
import onebit.ops.FusedOps.Norm;
import onebit.ops.FusedOps.Product;
import onebit.ops.FusedOps.Running;
import onebit.ops.FusedOps.Shortcut;
import onebit.ops.FusedOps.Unit;
import onebit.ops.FusedOps.UnitGradients;
import onebit.ops.FusedOps.Window;
import onebit.tensor.BitTensor;
import onebit.tensor.ElementType;
import onebit.tensor.Shape;
import onebit.tensor.Tensor;

/** What the fused ops ask of their arguments; every backend refuses with these words. */
public final class FusedRules {
  private static final int MOST_WINDOW = 15;

  private FusedRules() {}

  /** The unit fits y; where it has none of its own, a tensor of the shape its product has. */
  public static void requireUnit(String op, Unit u, Tensor y) {
    if (y == null) throw new IllegalArgumentException(op + ": the unit has no y");
    Shapes.requireSome(op, "y", y);
    if (y.shape().rank() != 4) throw new IllegalArgumentException(op + ": y " + y.shape() + " must be images");
    Shapes.requirePerChannel(op, "gamma", u.norm().gamma(), y);
    Shapes.requirePerChannel(op, "beta", u.norm().beta(), y);
    Shapes.requirePerChannel(op, "mean", u.norm().mean(), y);
    Shapes.requirePerChannel(op, "inverse", u.norm().inverse(), y);
    if (u.f().maxout()) {
      Shapes.requirePerChannel(op, "positive", u.f().positive(), y);
      Shapes.requirePerChannel(op, "negative", u.f().negative(), y);
    }
    requireShortcut(op, u.shortcut(), u.shortcut().x(), y);
  }

  public static void requireStatistics(String op, Unit u, Running running) {
    requireUnit(op, u, u.y());
    requireRunning(op, running, u.y());
  }

  private static void requireRunning(String op, Running running, Tensor y) {
    Shapes.requirePerChannel(op, "runningMean", running.mean(), y);
    Shapes.requirePerChannel(op, "runningVar", running.var(), y);
  }

  public static void requirePool(String op, Tensor z, Tensor chosen, Unit unit, Window window) {
    requireUnit(op, unit, unit.y());
    if (unit.shortcut().kind() != Shortcut.Kind.NONE) throw new IllegalArgumentException(op + ": a pooled unit has no shortcut");
    if (window.size() > MOST_WINDOW) throw new IllegalArgumentException(op + ": window " + window.size() + "; it must be at most " + MOST_WINDOW);
    Shapes.requirePool(op, unit.y().shape(), z.shape(), window.size(), window.stride(), window.pad());
    if (window.chooses() != (chosen != null)) {
      throw new IllegalArgumentException(op + ": chosen is " + (chosen == null ? "null" : "given") + " for windows of " + window.size() + "; it must be "
          + (window.chooses() ? "given" : "null"));
    }
    if (chosen == null) return;
    Shapes.requireEqual(op, "chosen", chosen, "z", z);
    Shapes.requireType(op, "chosen", chosen, ElementType.UINT8);
  }

  /** The source and the result of a shortcut fit. */
  private static void requireShortcut(String op, Shortcut s, Tensor source, Tensor result) {
    switch (s.kind()) {
      case NONE -> { }
      case SAME -> Shapes.requireEqual(op, "the shortcut", source, "y", result);
      default -> Shapes.requireShortcut(op, source.shape(), result.shape(), s.window(), s.stride());
    }
  }

  public static void requireForward(String op, BitTensor bits, Tensor z, Unit unit, Binarization next) {
    requireUnit(op, unit, unit.y());
    Shapes.requireEqual(op, "z", z, "y", unit.y());
    requireNext(op, bits, z, next);
  }

  public static void requireForwardOf(String op, BitTensor bits, Tensor z, Unit unit, Binarization next, Running running) {
    requireProduct(op, unit, z);
    if (unit.y() != null) Shapes.requireEqual(op, "y", unit.y(), "z", z);
    requireUnit(op, unit, z);
    if (running != null) requireRunning(op, running, z);
    requireNext(op, bits, z, next);
  }

  public static void requireSumOf(String op, Tensor z, Product p, Tensor added, Norm next, Running running) {
    Shapes.requireSome(op, "z", z);
    ConvRules.requireXnorConv2d(z, p.x(), p.w(), p.xSet(), p.wSet(), p.g());
    Shapes.requireEqual(op, "added", added, "z", z);
    if ((next == null) != (running == null)) throw new IllegalArgumentException(op + ": next and running must be given together");
    if (next == null) return;
    Shapes.requirePerChannel(op, "mean", next.mean(), z);
    Shapes.requirePerChannel(op, "inverse", next.inverse(), z);
    requireRunning(op, running, z);
  }

  /** The unit has a product of y's shape. */
  private static void requireProduct(String op, Unit unit, Tensor y) {
    Product p = unit.product();
    if (p == null) throw new IllegalArgumentException(op + ": the unit has neither y nor a product that makes it");
    ConvRules.requireXnorConv2d(y, p.x(), p.w(), p.xSet(), p.wSet(), p.g());
  }

  private static void requireNext(String op, BitTensor bits, Tensor z, Binarization next) {
    if (next.kind() == Binarization.Kind.NONE) return;
    Shapes.requireBits(op, bits, z);
    if (bits.bits() != z.shape().channels()) {
      throw new IllegalArgumentException(op + ": rows of " + bits.bits() + " bits for " + z.shape().channels() + " channels; they must be equal");
    }
    if (next.kind() == Binarization.Kind.LEARNED) Shapes.requireLearnedSet(op, next.alpha(), next.beta());
  }

  /** The gradients that meet at a stored z. */
  public static void requireJoin(String op, Tensor gradZ, Incoming g) {
    if (g.gradQ() != null) {
      if (g.z() == null) throw new IllegalArgumentException(op + ": gradQ is given without z");
      Shapes.requireEqual(op, "gradQ", g.gradQ(), "z", g.z());
    }
    requireIncoming(op, gradZ, g);
  }

  private static void requireIncoming(String op, Tensor gradZ, Incoming g) {
    Shape shape = gradZ.shape();
    if (g.gradQ() != null) {
      Shapes.requireEqual(op, "gradQ", g.gradQ(), "the gradient at z", gradZ);
      if (g.of().kind() == Binarization.Kind.LEARNED) {
        Shapes.requireLearnedSet(op, g.of().alpha(), g.of().beta());
        Shapes.requireLearnedSet(op, g.gradAlpha(), g.gradBeta());
      }
    } else if (g.over().kind() == Shortcut.Kind.NONE) {
      throw new IllegalArgumentException(op + ": no gradient comes in at z " + shape);
    }
    requireShortcut(op, g.over(), gradZ, g.over().kind() == Shortcut.Kind.NONE ? gradZ : g.over().x());
  }

  public static void requireBackward(String op, Tensor gradY, Tensor gradT, UnitGradients to, Unit unit, Incoming g) {
    Tensor y = unit.y() == null ? gradY : unit.y();
    if (unit.y() == null) requireProduct(op, unit, gradY);
    requireUnit(op, unit, y);
    Shapes.requireEqual(op, "gradY", gradY, "y", y);
    Shapes.requireEqual(op, "gradT", gradT, "y", y);
    if (g.z() != null) throw new IllegalArgumentException(op + ": z is given; it must be null, for the unit computes it again");
    requireIncoming(op, gradT, g);
    Shapes.requirePerChannel(op, "gradGamma", to.gradGamma(), y);
    Shapes.requirePerChannel(op, "gradBeta", to.gradBeta(), y);
    if (unit.f().maxout()) {
      Shapes.requirePerChannel(op, "gradPositive", to.gradPositive(), y);
      Shapes.requirePerChannel(op, "gradNegative", to.gradNegative(), y);
    }
  }
}
