package onebit.report;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import org.junit.jupiter.api.Test;

class SummaryTableTest {
  @Test
  void columnsAreAsWideAsTheirWidestCellAndNumbersStandRight() {
    String table = new SummaryTable("layer", ">parameters", ">MiB", "kind")
        .row("conv1", 432, 0.0016479, "real")
        .row("layer1.0.conv1", 2_359_296L, 0.28125, "")
        .rule()
        .row("total", 2_359_728L, null, null)
        .toString();
    assertEquals("""
        layer           parameters       MiB  kind
        --------------  ----------  --------  ----
        conv1                  432  0.001648  real
        layer1.0.conv1   2,359,296    0.2813
        --------------  ----------  --------  ----
        total            2,359,728
        """, table);
  }

  @Test
  void numbersHaveFourSignificantDigits() {
    assertEquals("0", SummaryTable.cell(0.0));
    assertEquals("0.1000", SummaryTable.cell(0.1f));
    assertEquals("98.13", SummaryTable.cell(98.1267));
    assertEquals("1,234,568", SummaryTable.cell(1234567.8));
    assertEquals("-1.500e-07", SummaryTable.cell(-1.5e-7));
    assertEquals("1.000e+20", SummaryTable.cell(1e20));
    assertEquals("NaN", SummaryTable.cell(Double.NaN));
    assertEquals("-12", SummaryTable.cell((short) -12));
  }

  @Test
  void aRowOfTheWrongLengthIsRefused() {
    var failure = assertThrows(IllegalArgumentException.class, () -> new SummaryTable("a", "b").row(1));
    assertEquals("SummaryTable: a row has 1 cells; it must have 2", failure.getMessage());
  }
}
