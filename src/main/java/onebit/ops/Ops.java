package onebit.ops;

/** The op families of a backend, one implementation each. */
public record Ops(BitOps bits, ConvOps conv, NormOps norm, PointOps point, PoolOps pool, BinarizeOps binarize, WeightOps weights,
    LossOps loss, OptimOps optim, FusedOps fused, DenseOps dense) {}
