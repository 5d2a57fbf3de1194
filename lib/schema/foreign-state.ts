import { ForeignStateSchemaError } from '../errors/schema.errors.js';
import { selectStrangers, type StrangerRow } from '../postgres/ownership.sql.js';
import type { Session } from '../postgres/session.js';

/**
 * Before anything in the state schema is touched: what another role owns may run that role's code with the rights of this
 * one, as a trigger on a table does.
 *
 * @param mayBeAnothers whether the tables may be another role's, who has granted what a refresh needs. A superuser
 *   uses them in no case
 * @throws ForeignStateSchemaError when another role owns some of it
 */
export async function refuseForeignState(
  session: Pick<Session, 'query'>,
  stateSchema: string,
  { mayBeAnothers = false }: { mayBeAnothers?: boolean } = {},
): Promise<void> {
  const [stranger] = await session.query<StrangerRow>(selectStrangers(stateSchema));
  if (stranger === undefined || (mayBeAnothers && !stranger.is_superuser)) {
    return;
  }
  const { owner, role, description } = stranger;
  throw new ForeignStateSchemaError(
    `Schema "${stateSchema}" is not used for the library's own tables: role "${owner}" owns ${description}, and role "${role}" is not a member of "${owner}". Code of another role could run with this one's rights. Nothing has been changed.`,
    {
      hint: `If you know what it is, make "${role}" its owner (ALTER ... OWNER TO) or a member of "${owner}" (GRANT). If not, drop it, or set another \`stateSchema\`.`,
    },
  );
}
