package onebit.ops;

import onebit.ops.FusedOps.Binarization;
import onebit.ops.FusedOps.Incoming;
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

  public static void requireUnit(String op, Unit u) {
    Shapes.requireSome(op, "y", u.y());
    if (u.y().shape().rank() != 4) throw new IllegalArgumentException(op + ": y " + u.y().shape() + " must be images");
    Shapes.requirePerChannel(op, "gamma", u.norm().gamma(), u.y());
    Shapes.requirePerChannel(op, "beta", u.norm().beta(), u.y());
    Shapes.requirePerChannel(op, "mean", u.norm().mean(), u.y());
    Shapes.requirePerChannel(op, "inverse", u.norm().inverse(), u.y());
    if (u.f().maxout()) {
      Shapes.requirePerChannel(op, "positive", u.f().positive(), u.y());
      Shapes.requirePerChannel(op, "negative", u.f().negative(), u.y());
    }
    requireShortcut(op, u.shortcut(), u.shortcut().x(), u.y());
  }

  public static void requirePool(String op, Tensor z, Tensor chosen, Unit unit, Window window) {
    requireUnit(op, unit);
    if (unit.shortcut().kind() != Shortcut.Kind.NONE) throw new IllegalArgumentException(op + ": a pooled unit has no shortcut");
    if (window.size() > MOST_WINDOW) throw new IllegalArgumentException(op + ": window " + window.size() + "; it must be at most " + MOST_WINDOW);
    Shapes.requirePool(op, unit.y().shape(), z.shape(), window.size(), window.stride(), window.pad());
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
    requireUnit(op, unit);
    Shapes.requireEqual(op, "z", z, "y", unit.y());
    if (next.kind() == Binarization.Kind.NONE) return;
    Shapes.requireBits(op, bits, z);
    if (bits.bits() != z.shape().channels()) {
      throw new IllegalArgumentException(op + ": rows of " + bits.bits() + " bits for " + z.shape().channels() + " channels; they must be equal");
    }
    if (next.kind() == Binarization.Kind.LEARNED) Shapes.requireLearnedSet(op, next.alpha(), next.beta());
  }

  /** The gradients that meet at z. */
  public static void requireIncoming(String op, Tensor gradZ, Incoming g) {
    Shape shape = gradZ.shape();
    if (g.gradQ() != null) {
      Shapes.requireEqual(op, "gradQ", g.gradQ(), "z", g.z());
      Shapes.requireEqual(op, "z", g.z(), "its gradient", gradZ);
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
    requireUnit(op, unit);
    Shapes.requireEqual(op, "gradY", gradY, "y", unit.y());
    Shapes.requireEqual(op, "gradT", gradT, "y", unit.y());
    requireIncoming(op, gradT, g);
    Shapes.requirePerChannel(op, "gradGamma", to.gradGamma(), unit.y());
    Shapes.requirePerChannel(op, "gradBeta", to.gradBeta(), unit.y());
    if (unit.f().maxout()) {
      Shapes.requirePerChannel(op, "gradPositive", to.gradPositive(), unit.y());
      Shapes.requirePerChannel(op, "gradNegative", to.gradNegative(), unit.y());
    }
  }
}
