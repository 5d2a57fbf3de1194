/** One problem, present or future. */
export interface Finding {
  /**
   * `error`: something fails now. `warning`: something will fail, or is slower or staler than necessary.
   */
  severity: 'error' | 'warning';
  /** The kind of finding: the same word in every release. */
  code: FindingCode;
  /** `schema.name`; left out if it doesn't concern a single view. */
  view?: string;
  message: string;
  /** The statement or command that fixes it. */
  fix: string;
}

export type FindingCode =
  | 'capture-superfluous'
  | 'connections'
  | 'diff-fails'
  | 'function-path'
  | 'invalid-index'
  | 'job-changed'
  | 'job-failing'
  | 'job-inactive'
  | 'job-missing'
  | 'job-superfluous'
  | 'locked'
  | 'log-full'
  | 'missing'
  | 'no-execute'
  | 'no-select'
  | 'no-unique-index'
  | 'not-owner'
  | 'null-keys'
  | 'orphan'
  | 'pooler'
  | 'row-security'
  | 'server-version'
  | 'setting'
  | 'tables-version';
