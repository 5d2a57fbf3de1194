/** What a command has to say: for people, and as one document for programs. */
export interface CommandOutcome {
  text: string;
  document: unknown;
  /** @default 0 */
  exitCode?: number;
}

export const EXIT_DRIFT = 2;
export const EXIT_STALE = 3;
