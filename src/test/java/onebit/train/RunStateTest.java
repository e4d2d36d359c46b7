package onebit.train;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.lang.reflect.Field;
import java.util.List;
import org.junit.jupiter.api.Test;

class RunStateTest {
  /** Each field with a value of its own. */
  @Test
  void itIsReadAsItWasWritten() throws Exception {
    RunState state = new RunState();
    int number = 2;
    for (Field field : RunState.class.getDeclaredFields()) {
      Class<?> type = field.getType();
      if (type == boolean.class) field.setBoolean(state, true);
      else if (type == String.class) field.set(state, "words of " + number);
      else if (type == double.class) field.setDouble(state, number + 0.1);
      else if (type == long.class) field.setLong(state, number);
      else field.setInt(state, number);
      number++;
    }
    RunState read = RunState.read(state.write());
    for (Field field : RunState.class.getDeclaredFields()) assertEquals(field.get(state), field.get(read), field.getName());
  }

  /** Two steps, of 10 images and of 6; only a gradient longer than the limit was cut. */
  @Test
  void goodStepsAreCountedInAndAnEpochBeginsWithNone() {
    RunState state = new RunState();
    state.badSteps = 3;
    state.count(new TrainStep.Outcome(1, 1.5, 4, 7, 0.25, 2, null), 10, 2);
    state.count(new TrainStep.Outcome(1, 0.5, 3, 5, 0.5, 2.5, null), 6, 2);
    assertEquals(List.of(0, 18.0, 5.5, 7L, 16L), List.of(state.badSteps, state.lossSum, state.locationSum, state.hits, state.images));
    assertEquals(List.of(2L, 4.5, 2.5, 1L), List.of(state.steps, state.normSum, state.normMost, state.clipped));
    state.count(new TrainStep.Outcome(1, 1, 0, 0, 0, 9, null), 1, 0);
    assertEquals(List.of(3L, 13.5, 9.0, 1L), List.of(state.steps, state.normSum, state.normMost, state.clipped));
    state.startEpoch(4);
    assertEquals(List.of(0L, 0.0, 0.0, 0L, 0L, 0.0), List.of(state.steps, state.normSum, state.normMost, state.clipped, state.images, state.lossSum));
  }
}
