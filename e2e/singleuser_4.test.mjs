import { JUPYTER_ENV_4 } from './support/lyceum.mjs';
import { tellOf } from './support/singleuser.mjs';

tellOf('4', JUPYTER_ENV_4);
