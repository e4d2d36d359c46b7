package onebit.train;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.lang.reflect.Field;
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
}
