import { createHash } from 'node:crypto';
import { escapeLiteral } from 'pg';
import { quoteIdentifier } from './identifier.js';
import type { SqlStatement } from './sql-statement.js';

/** A function that the library keeps in its state schema. */
export interface StoredFunction {
  name: string;
  /** As the catalog shows it. */
  body: (stateSchema: string) => string;
  create: (stateSchema: string) => SqlStatement[];
}

/** The parts of a function. */
interface FunctionText {
  /** Everything between the name and the body. */
  head: string;
  body: (stateSchema: string) => string;
}

/**
 * A function that the library's statements call. Its name ends with a hash of its text, so a changed function is a new
 * one: it reaches each installation, and processes of other releases keep calling theirs.
 */
export function storedFunction(name: string, text: FunctionText): StoredFunction {
  return stored(`${name}_${digest(text)}`, text, []);
}

/** The same for a procedure. */
export function storedProcedure(name: string, text: FunctionText): StoredFunction {
  return stored(`${name}_${digest(text)}`, text, [], 'PROCEDURE');
}

/**
 * A function that triggers execute. All releases share the triggers, which are on the application's tables: replacing
 * them takes locks, and two releases side by side would replace them again and again. So the name stays, and a newer
 * release replaces the body. The body contains the hash of the whole text.
 */
export function triggerFunction(name: string, text: FunctionText): StoredFunction {
  const head = `() RETURNS trigger\n${text.head}`;
  const body = (stateSchema: string): string => `\n-- ${digest(text)}${text.body(stateSchema)}`;
  return stored(name, { head, body }, ['REVOKE ALL ON FUNCTION $ FROM PUBLIC']);
}

/** The hash of a body that the catalog has, as SQL, and of one that it should have. */
export const BODY_HASH = `pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(p.prosrc, 'UTF8')), 'hex')`;

export function bodyHash(body: string): string {
  return createHash('sha256').update(body).digest('hex');
}

function stored(
  name: string,
  { head, body }: FunctionText,
  after: string[],
  keyword = 'FUNCTION',
): StoredFunction {
  return {
    name,
    body,
    create: (stateSchema) => {
      const quoted = `${quoteIdentifier(stateSchema)}.${quoteIdentifier(name)}`;
      return [
        {
          text: `CREATE OR REPLACE ${keyword} ${quoted}${head}\nAS ${escapeLiteral(body(stateSchema))}`,
        },
        ...after.map((text) => ({ text: text.replace('$', () => `${quoted}()`) })),
      ];
    },
  };
}

/** The same for any name of the state schema. */
function digest({ head, body }: FunctionText): string {
  return bodyHash(head + body('state')).slice(0, 8);
}
