import type { INestApplicationContext } from '@nestjs/common';
import { type Duration, milliseconds } from '../definition/duration.js';
import { aDuration, checkOptions, objectOf } from '../definition/option-rules.js';
import { ManagedDataSources } from '../engine/managed-data-sources.js';
import { advanceRecords } from '../postgres/advance.sql.js';

const rules = objectOf<{ duration: Duration }>({ duration: aDuration(0) }, ['duration']);

/**
 * Makes everything that the library has recorded in the database older, as if this time had passed: refreshes, ticks,
 * failures, pauses and the writes that views have not seen. So `maxStaleness`, `debounce`, `minInterval` and a backoff
 * are over without waiting. The application does what is due then by itself, if it was initialized with `scheduling`;
 * wait for that with `untilIdle`. To do a scheduled time, call `tick`.
 *
 * It concerns all data sources of the application, and all applications that share their `stateSchema`. Use it in
 * databases for tests only.
 *
 * @param app the application, or the testing module
 * @throws InvalidOptionsError if the duration isn't one
 */
export async function advance(app: INestApplicationContext, duration: Duration): Promise<void> {
  checkOptions('advance', rules, { duration });
  const advancedMs = milliseconds(duration);
  for (const { database } of app.get(ManagedDataSources, { strict: false }).all()) {
    await database.bookkeeping((session) =>
      session.queryAll(advanceRecords(database.stateSchema, advancedMs)),
    );
  }
}
