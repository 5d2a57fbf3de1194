/** The command line was not as it must be, or its question was answered with no. */
export class UsageError extends Error {
  readonly hint?: string;

  constructor(message: string, { hint }: { hint?: string } = {}) {
    super(message);
    this.name = 'UsageError';
    this.hint = hint;
  }
}
