import { ConnectFailed } from '../postgres/session-lost.js';
import { errorCode, SqlState } from '../postgres/sqlstate.js';

const REFUSED = 'the server refused the connection';
const CREDENTIALS =
  "Check user and password of the data source, and the server's pg_hba.conf. Where passwords change while the process runs, give TypeORM a function as `password`: it is called for each new connection.";

/** What to do about a connection that the server refused. */
const HINTS: Record<string, string> = {
  [SqlState.invalidAuthorization]: CREDENTIALS,
  [SqlState.invalidPassword]: CREDENTIALS,
  [SqlState.invalidCatalogName]: 'The database of the data source does not exist on this server.',
  [SqlState.insufficientPrivilege]: 'The role needs CONNECT on the database.',
  [SqlState.tooManyConnections]:
    'Lower poolSize or raise max_connections; the library opens at most poolSize connections and one more in each process.',
};

/** What a failed or lost connection means, in the same words for every attempt. */
export function connectionFailure(cause: unknown): { what: string; hint?: string } {
  const hint = HINTS[errorCode(cause) ?? ''];
  return cause instanceof ConnectFailed && hint !== undefined
    ? { what: REFUSED, hint }
    : { what: 'the connection failed or was lost', hint };
}
