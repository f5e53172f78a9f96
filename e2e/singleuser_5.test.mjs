import { JUPYTER_ENV_5 } from './support/lyceum.mjs';
import { tellOf } from './support/singleuser.mjs';

tellOf('5', JUPYTER_ENV_5);
