package onebit.tensor;

/** A tensor that is saved with the parameters but not trained by the optimizer: running statistics, rotations. */
public record StateTensor(String name, Tensor value, int[] fileShape) {}
