import { OptionPath } from '../definition/option-path.js';
import type { Rule } from '../definition/option-rules.js';

const whatever: Rule = () => undefined;

/** The options of `forRootAsync` that Nest checks: they name a provider or a module of the application. */
export const ASYNC_RULES = {
  useFactory: whatever,
  useClass: whatever,
  useExisting: whatever,
  inject: whatever,
  imports: whatever,
  provideInjectionTokensFrom: whatever,
};

/**
 * Nest would only say that it can't resolve a dependency of a symbol.
 *
 * @throws InvalidOptionsError if `forRootAsync` has no factory
 */
export function requireFactory(
  subject: string,
  options: { useFactory?: unknown; useClass?: unknown; useExisting?: unknown },
): void {
  const { useFactory, useClass, useExisting } = options;
  if ([useFactory, useClass, useExisting].every((each) => typeof each !== 'function')) {
    throw new OptionPath(subject)
      .member('useFactory')
      .refuse('a function, or `useClass` or `useExisting` a class', useFactory);
  }
}
