/* The locks of steps, as shown to users. */

export const NO_LOCK = 'none: nothing reads it yet';
export const STATE_LOCK = "rows of the library's own tables: nobody waits";
export const JOB_LOCK = 'rows of cron.job: nobody waits';
export const SHARE_LOCK = 'SHARE: readers go on, refreshes wait';
export const EXCLUSIVE_LOCK = 'ACCESS EXCLUSIVE: readers wait, for milliseconds';
export const WRITERS_LOCK =
  'SHARE ROW EXCLUSIVE: writers of the tables wait, for milliseconds; readers go on';
export const LONG_EXCLUSIVE_LOCK = 'ACCESS EXCLUSIVE: readers wait while the rows are written';
