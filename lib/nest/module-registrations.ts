import { Inject, Injectable } from '@nestjs/common';
import { ModulesContainer } from '@nestjs/core';
import { isDeepStrictEqual } from 'node:util';
import { InvalidOptionsError } from '../errors/usage.errors.js';
import {
  MODULE_OPTIONS,
  VIEW_REGISTRATION,
  type ViewRegistration,
} from './materialized-views.module-definition.js';
import {
  type MaterializedViewsModuleOptions,
  type ResolvedOptions,
  resolveOptions,
} from '../definition/module.options.js';

/**
 * What all `forRoot`, `forRootAsync` and `forFeature` of the application declare together. Importing
 * the module again with the same options only adds views.
 */
@Injectable()
export class ModuleRegistrations {
  private resolved?: ResolvedOptions;

  constructor(@Inject(ModulesContainer) private readonly modules: ModulesContainer) {}

  /**
   * The options of the application.
   *
   * @throws InvalidOptionsError if there are none, or two sets that differ
   */
  get options(): ResolvedOptions {
    return (this.resolved ??= this.resolve());
  }

  views(): ViewRegistration[] {
    return this.instances<ViewRegistration>(VIEW_REGISTRATION);
  }

  private resolve(): ResolvedOptions {
    const [first, ...others] = this.instances<MaterializedViewsModuleOptions>(MODULE_OPTIONS).map(
      (options) => resolveOptions(options),
    );
    if (first === undefined) {
      throw new InvalidOptionsError(
        'MaterializedViewsModule.forFeature() needs MaterializedViewsModule.forRoot() or forRootAsync() somewhere in the application, usually in its root module.',
      );
    }
    for (const other of others) {
      refuseDifference(first, other);
    }
    return first;
  }

  private instances<T>(token: symbol): T[] {
    return [...this.modules.values()].flatMap((module) => {
      const provider = module.providers.get(token);
      return provider === undefined ? [] : [provider.instance as T];
    });
  }
}

function refuseDifference(one: ResolvedOptions, other: ResolvedOptions): void {
  const names = Object.keys(one) as (keyof ResolvedOptions)[];
  const name = names.find((each) => !isDeepStrictEqual(one[each], other[each]));
  if (name !== undefined) {
    throw new InvalidOptionsError(
      `MaterializedViewsModule: expected every forRoot() of the application to have the same options, got \`${name}\` ${JSON.stringify(one[name])} and ${JSON.stringify(other[name])}.`,
      { hint: 'Give the options in the root module alone, and add views with forFeature([...]).' },
    );
  }
}
