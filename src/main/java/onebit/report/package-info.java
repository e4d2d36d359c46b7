/**
 * What a run tells: screen, log, progress, metrics, TensorBoard events, the HTML report, tables and JSON lines.
 *
 * <p>Writing during training never throws because of a disk or a closed stream; it says so once and goes on.
 */
package onebit.report;
