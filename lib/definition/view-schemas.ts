import type { DataSource } from 'typeorm';
import { messageOf } from '../errors/error-message.js';
import { InvalidDefinitionError } from '../errors/usage.errors.js';
import { viewSchemas } from './definition-validation.js';
import type { ViewSchemas } from './materialized-view-entity.options.js';
import { OptionPath } from './option-path.js';

type Ask = (subject: string, schemas: ViewSchemas | undefined) => Promise<string[] | undefined>;

/** Calls each function once, even if several classes share it. */
export function schemasOnce(dataSource: DataSource): Ask {
  const told = new Map<ViewSchemas, Promise<string[]>>();
  return async (subject, schemas) => {
    if (typeof schemas !== 'function') {
      return schemas && [...new Set(schemas)];
    }
    const answer = told.get(schemas) ?? ask(subject, schemas, dataSource);
    told.set(schemas, answer);
    return answer;
  };
}

/**
 * Each schema once.
 *
 * @throws InvalidDefinitionError if the function fails, or returns anything but names of schemas
 */
async function ask(
  subject: string,
  schemas: Extract<ViewSchemas, (...args: never[]) => unknown>,
  dataSource: DataSource,
): Promise<string[]> {
  let told: readonly string[];
  try {
    told = await schemas(dataSource);
  } catch (cause) {
    throw new InvalidDefinitionError(
      `${subject}: \`schemas\` threw an error: ${messageOf(cause)}.`,
      { cause },
    );
  }
  viewSchemas(told, new OptionPath(subject, InvalidDefinitionError).member('schemas'));
  return [...new Set(told)];
}
