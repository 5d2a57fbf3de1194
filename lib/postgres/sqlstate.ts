/**
 * The codes that the library distinguishes:
 * https://www.postgresql.org/docs/current/errcodes-appendix.html
 */
export const SqlState = {
  protocolViolation: '08P01',
  featureNotSupported: '0A000',
  divisionByZero: '22012',
  cardinalityViolation: '21000',
  uniqueViolation: '23505',
  idleInTransactionTimeout: '25P03',
  transactionTimeout: '25P04',
  readOnlyTransaction: '25006',
  inFailedTransaction: '25P02',
  invalidAuthorization: '28000',
  invalidPassword: '28P01',
  dependentObjectsStillExist: '2BP01',
  invalidCatalogName: '3D000',
  invalidSchemaName: '3F000',
  serializationFailure: '40001',
  deadlockDetected: '40P01',
  insufficientPrivilege: '42501',
  undefinedColumn: '42703',
  undefinedFunction: '42883',
  undefinedTable: '42P01',
  wrongObjectType: '42809',
  diskFull: '53100',
  outOfMemory: '53200',
  tooManyConnections: '53300',
  configurationLimitExceeded: '53400',
  objectNotInPrerequisiteState: '55000',
  lockNotAvailable: '55P03',
  raiseException: 'P0001',
  internalError: 'XX000',
  queryCanceled: '57014',
  adminShutdown: '57P01',
  crashShutdown: '57P02',
  cannotConnectNow: '57P03',
  idleSessionTimeout: '57P05',
} as const;

/** The SQLSTATE, or Node's error code, of a failed query; `undefined` if there is none. */
export function errorCode(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === 'string' ? code : undefined;
}

/**
 * PostgreSQL's English messages for a cancelled statement, and whether each means that a time limit was reached:
 * https://github.com/postgres/postgres/blob/master/src/backend/tcop/postgres.c (ProcessInterrupts).
 */
export const CANCEL_MESSAGES: ReadonlyMap<string, boolean> = new Map([
  ['canceling statement due to statement timeout', true],
  ['canceling statement due to user request', false],
]);

/** Codes whose texts PostgreSQL itself writes without any value. */
export const FIXED_TEXT_CODES: ReadonlySet<string> = new Set([
  SqlState.divisionByZero,
  SqlState.cardinalityViolation,
  SqlState.readOnlyTransaction,
  SqlState.inFailedTransaction,
  SqlState.idleInTransactionTimeout,
  SqlState.transactionTimeout,
  SqlState.serializationFailure,
  SqlState.deadlockDetected,
  SqlState.diskFull,
  SqlState.outOfMemory,
  SqlState.tooManyConnections,
  SqlState.configurationLimitExceeded,
  SqlState.lockNotAvailable,
  SqlState.queryCanceled,
  SqlState.adminShutdown,
  SqlState.crashShutdown,
  SqlState.cannotConnectNow,
]);

/** Whether a cancelled statement had reached a time limit; `undefined` if the message is another. */
export function saysTimeout(error: unknown): boolean | undefined {
  const { message = '' } = error as { message?: string };
  return CANCEL_MESSAGES.get(message);
}

/** Whether the error comes from PostgreSQL: all its errors have a severity, and no others do. */
export function isServerError(error: unknown): boolean {
  return typeof (error as { severity?: unknown } | null)?.severity === 'string';
}

/** Error classes that say nothing about the statement: at another moment it may succeed. */
const CLASSES_OF_THE_MOMENT: ReadonlySet<string> = new Set([
  '08',
  '25',
  '40',
  '53',
  '55',
  '57',
  '58',
  'XX',
]);

/**
 * Whether the server refuses a statement because of its content, and would refuse it again. A lock timeout, a
 * cancellation or a lost connection doesn't count.
 */
export function isRefusal(error: unknown): boolean {
  const code = errorCode(error);
  return code !== undefined && isServerError(error) && !CLASSES_OF_THE_MOMENT.has(code.slice(0, 2));
}
