import { ForeignStateSchemaError } from '../errors/schema.errors.js';
import { selectStrangers, type StrangerRow } from '../postgres/ownership.sql.js';
import type { Session } from '../postgres/session.js';

/**
 * Runs before anything in the state schema is used: objects of another role may run that role's code with the current
 * role's rights, as a trigger on a table does.
 *
 * @param mayBeAnothers whether the tables may belong to another role that has granted what a refresh needs. A
 * superuser never uses them
 * @throws ForeignStateSchemaError if another role owns any of it
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
