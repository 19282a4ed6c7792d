import { embeddedPlace, redisPlace } from '../support/harness/queue-under-test.ts';
import { notesContract } from './notes.contract.ts';

notesContract('on Redis', redisPlace);
notesContract('embedded', embeddedPlace);
