/** One thing that hurts, or will hurt later. */
export interface Finding {
  /** `error`: something fails now. `warning`: something will, or is slower or staler than it need be. */
  severity: 'error' | 'warning';
  /** What kind of thing it is: the same word in every release. */
  code: FindingCode;
  /** `schema.name`; left out for what concerns no single view. */
  view?: string;
  message: string;
  /** The statement, or the command, that mends it. */
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
