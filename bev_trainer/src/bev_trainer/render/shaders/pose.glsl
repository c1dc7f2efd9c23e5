// Places a point of a mesh: scale, swing its limb about y through the pivot, turn, move.

const float PIVOT[5] = float[5](0.0, HIP_HEIGHT, HIP_HEIGHT, SHOULDER_HEIGHT, SHOULDER_HEIGHT);
const float SWING[5] = float[5](0.0, LEG_SWING, -LEG_SWING, -ARM_SWING, ARM_SWING);

// Cosine and sine of a limb's angle; cycle is the sine of the walking cycle.
vec2 limb_turn(int limb, float cycle) {
    float angle = SWING[limb] * cycle;
    return vec2(cos(angle), sin(angle));
}

vec3 swung(vec3 p, vec2 turn, float pivot) {
    float z = p.z - pivot;
    return vec3(p.x * turn.x + z * turn.y, p.y, pivot + z * turn.x - p.x * turn.y);
}

vec3 turned(vec3 p, vec2 yaw) {
    return vec3(p.x * yaw.x - p.y * yaw.y, p.x * yaw.y + p.y * yaw.x, p.z);
}

// Normals are stored in bytes around 128.
vec3 unit_normal(vec4 bytes) {
    return (bytes.xyz * 255.0 - 128.0) / 127.0;
}
