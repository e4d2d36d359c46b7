package onebit.cli;

import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import onebit.train.Trainer;
import picocli.CommandLine;
import sun.misc.Signal;

/**
 * What a signal does to a training process: a checkpoint, then exit code 75. Before the first step there is nothing to save, and 75 says that the command may be given
 * again. SIGUSR1, by which Slurm announces the end of a job, does as SIGTERM.
 */
final class StopSignal {
  private static final long HALT_SECONDS = 30, MEET_SECONDS = 5;

  private final boolean speaks;
  private final Thread hook = new Thread(this::stop, "onebit-signal");
  private final CountDownLatch done = new CountDownLatch(1);
  private volatile Trainer running;
  private volatile boolean asked;
  private volatile boolean failed;

  private StopSignal(boolean speaks) {
    this.speaks = speaks;
  }

  /**
   * Waits for a signal until {@link #end}.
   *
   * @param speaks whether this process says so if the signal comes before training
   */
  static StopSignal listen(boolean speaks) {
    StopSignal signal = new StopSignal(speaks);
    Runtime.getRuntime().addShutdownHook(signal.hook);
    return signal;
  }

  static void alsoOnUsr1() {
    Signal.handle(new Signal("USR1"), signal -> Thread.ofPlatform().name("onebit-usr1").start(() -> System.exit(Main.STOPPED)));
  }

  /** Training begins: from now on a signal asks for a checkpoint. */
  void began(Trainer trainer) {
    running = trainer;
  }

  /** The process failed: if it was asked to stop it ends here, for the signal's thread would end it as if its checkpoint were written. */
  void failed(Throwable e) {
    failed = true;
    if (asked) Main.failAndHalt(e);
  }

  /** The process has done its work. */
  void end() {
    done.countDown();
    remove(hook);
  }

  /** Ends this process with 75 if a signal came before training began. */
  void endIfUntouched() {
    Trainer trainer = running;
    if (asked && (trainer == null || !trainer.hasBegun(0))) endUntouched();
  }

  private void endUntouched() {
    if (speaks) System.err.println("onebit: stopped as asked before training began; no step was made, give the same command again.");
    Runtime.getRuntime().halt(Main.STOPPED);
  }

  private void stop() {
    asked = true;
    Trainer trainer = running;
    if (trainer == null || !trainer.hasBegun(MEET_SECONDS)) endUntouched();
    trainer.stopAndWait();
    try {
      if (!done.await(HALT_SECONDS, TimeUnit.SECONDS)) return;
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
    Runtime.getRuntime().halt(failed ? CommandLine.ExitCode.SOFTWARE : Main.STOPPED);
  }

  static void remove(Thread hook) {
    try {
      Runtime.getRuntime().removeShutdownHook(hook);
    } catch (IllegalStateException shuttingDown) {
      // the hook is what ends the program
    }
  }
}
