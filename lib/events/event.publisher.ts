import { Inject, Injectable, Logger } from '@nestjs/common';
import { ModulesContainer } from '@nestjs/core';
import type { MaterializedViewEventName } from './materialized-view.events.js';

/** What is used of @nestjs/event-emitter. */
interface EventEmitter2 {
  emitAsync(name: string, payload: object): Promise<unknown>;
}

/** Found by its name: an import would make the optional package a required one. */
const EMITTER_NAME = 'EventEmitter2';

/** Hands events on to @nestjs/event-emitter, where the application has it. */
@Injectable()
export class EventPublisher {
  private readonly logger = new Logger('MaterializedViews');
  private emitter?: EventEmitter2 | null;

  constructor(@Inject(ModulesContainer) private readonly modules: ModulesContainer) {}

  /** Never throws and waits for nobody: what a listener does is no part of what happened. */
  publish(name: MaterializedViewEventName, payload: object): void {
    const emitter = (this.emitter ??= this.findEmitter());
    if (emitter !== null) {
      this.emit(emitter, name, payload).catch((error: unknown) => {
        this.logger.warn(`A listener of ${name} failed: ${String(error)}`);
      });
    }
  }

  private async emit(emitter: EventEmitter2, name: string, payload: object): Promise<void> {
    await emitter.emitAsync(name, payload);
  }

  private findEmitter(): EventEmitter2 | null {
    for (const module of this.modules.values()) {
      for (const [token, { instance }] of module.providers) {
        if (typeof token === 'function' && token.name === EMITTER_NAME && instance) {
          return instance as EventEmitter2;
        }
      }
    }
    return null;
  }
}
