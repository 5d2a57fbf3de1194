/** The exit codes of the process. */
export const ExitCode = {
  ok: 0,
  /** Something failed: a refresh, the connection, the configuration. */
  error: 1,
  /** The database is not as declared. */
  drift: 2,
  /** A view is stale. */
  stale: 3,
  /** The command line is wrong: an option, an argument, the name of a view. */
  usage: 4,
  /** Ctrl-C or SIGTERM. Running work has been cancelled in the database. */
  interrupted: 130,
} as const;

export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode];
