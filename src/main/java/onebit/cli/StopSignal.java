package onebit.cli;

import sun.misc.Signal;

/** SIGUSR1, by which Slurm announces the end of a job: it stops the program as SIGTERM does. */
final class StopSignal {
  private StopSignal() {}

  static void alsoOnUsr1() {
    Signal.handle(new Signal("USR1"), signal -> Thread.ofPlatform().name("onebit-usr1").start(() -> System.exit(Main.STOPPED)));
  }
}
