import type { ConnectionPool } from './connection-pool.js';
import { selectSignOf, type SignRow } from './pipeline.sql.js';
import type { Session } from './session.js';
import { inTime } from './time-limit.js';
import { begin, commit, rollback, type ServerAbilities } from './transaction.sql.js';

/** How long the answers may take before it is thought that some of them were swallowed. */
const ANSWER_TIMEOUT_MS = 3_000;

/** Nothing that is read here waits for anybody. */
const LIMITS = { lockTimeoutMs: 1_000, statementTimeoutMs: 1_000, isReadOnly: true };

/** As many as a flight of a refresh has. */
const SIGNS_OF_FIRST = [1, 2, 3, 4];
const SIGNS_OF_SECOND = [5, 6];

/**
 * Whether statements that are sent together get the answers that they must get. Some poolers lose or exchange answers, or cut the
 * connection. So it is tried, twice because a connection may be lost for another reason, and blamed on the pipeline only if the
 * same statements are answered one by one. Leaves the pool as it is to be used.
 */
export async function findPipelining(
  pool: ConnectionPool,
  server: ServerAbilities,
): Promise<boolean> {
  for (const isPipelined of [true, true, false]) {
    pool.isPipelined = isPipelined;
    if (await isAnswered(pool, server)) {
      return isPipelined;
    }
  }
  pool.isPipelined = true;
  return true;
}

async function isAnswered(pool: ConnectionPool, server: ServerAbilities): Promise<boolean> {
  try {
    return await pool.session((session) =>
      inTime(areAnswersRight(session, server), ANSWER_TIMEOUT_MS),
    );
  } catch {
    return false;
  }
}

/** Two transactions in one flight, as where one is taken back and another follows. */
async function areAnswersRight(session: Session, server: ServerAbilities): Promise<boolean> {
  const flight = [
    begin(LIMITS, server),
    ...SIGNS_OF_FIRST.map(selectSignOf),
    rollback(),
    begin(LIMITS, server),
    ...SIGNS_OF_SECOND.map(selectSignOf),
    commit(),
  ];
  const answers = (await session.queryAll(flight)) as SignRow[][];
  const signs = flight.flatMap(({ values }, index) => (values && answers[index]) ?? []);
  const rows = [...SIGNS_OF_FIRST, ...SIGNS_OF_SECOND];
  return (
    signs.length === rows.length &&
    signs.every(({ position }, index) => position === rows[index]) &&
    isOneTransaction(signs.slice(0, SIGNS_OF_FIRST.length)) &&
    isOneTransaction(signs.slice(SIGNS_OF_FIRST.length))
  );
}

function isOneTransaction(signs: readonly SignRow[]): boolean {
  return new Set(signs.map((sign) => `${sign.backend_pid} ${sign.begun_at}`)).size === 1;
}
