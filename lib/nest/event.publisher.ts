import { Inject, Injectable, Logger } from '@nestjs/common';
import { ModulesContainer } from '@nestjs/core';
import type { MaterializedViewEventName } from '../definition/materialized-view.events.js';
import { messageOf } from '../errors/error-message.js';

/** The part of @nestjs/event-emitter that is used. */
interface EventEmitter2 {
  emitAsync(name: string, payload: object): Promise<unknown>;
}

/** Tells when the application's listeners are registered, which is after its boot. */
interface Readiness {
  waitUntilReady(): Promise<void>;
}

interface Listeners {
  emitter: EventEmitter2;
  readiness?: Readiness;
}

/** Found by its name: an import would make the optional package a required one. */
const EMITTER_MODULE = 'EventEmitterModule';

/** Passes events on to @nestjs/event-emitter, if the application has it. */
@Injectable()
export class EventPublisher {
  private readonly logger = new Logger('MaterializedViews');
  private listeners?: Listeners | null;

  constructor(@Inject(ModulesContainer) private readonly modules: ModulesContainer) {}

  /** Never throws and doesn't wait for listeners: what they do is not part of the refresh. */
  publish(name: MaterializedViewEventName, payload: object): void {
    if (this.listeners === undefined) {
      this.listeners = this.findListeners();
    }
    if (this.listeners !== null) {
      this.emit(this.listeners, name, payload).catch((error: unknown) => {
        this.logger.warn(`A listener of ${name} failed: ${messageOf(error)}`);
      });
    }
  }

  private async emit(
    { emitter, readiness }: Listeners,
    name: string,
    payload: object,
  ): Promise<void> {
    await readiness?.waitUntilReady();
    await emitter.emitAsync(name, payload);
  }

  private findListeners(): Listeners | null {
    const modules = [...this.modules.values()];
    const providers = modules
      .filter(({ metatype }) => metatype.name === EMITTER_MODULE)
      .flatMap((module) => [...module.providers.values()])
      .map(({ instance }) => instance);
    const emitter = providers.find((each) => has<EventEmitter2>(each, 'emitAsync'));
    const readiness = providers.find((each) => has<Readiness>(each, 'waitUntilReady'));
    return emitter === undefined ? null : { emitter, readiness };
  }
}

function has<T extends object>(value: unknown, method: keyof T): value is T {
  return typeof (value as T | null | undefined)?.[method] === 'function';
}
