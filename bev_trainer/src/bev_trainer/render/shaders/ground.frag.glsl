#include outputs.glsl
#if COLOUR
#include lit.glsl
uniform sampler2D noise_map;
uniform sampler2D wear_map;      // brightness / 2, yellow paint, soil, puddles
uniform float texel_m;
#endif
uniform sampler2D cover_map;     // paint, crossing, drivable, sidewalk
uniform vec4 window;             // xy: lower edge, world; zw: 1 / size

const float ROAD = 2.0, MARKING = 3.0, CROSSING = 4.0, SIDEWALK = 5.0, TERRAIN = 6.0;

void main() {
    vec3 ray = ray_0.xyz + gl_FragCoord.x * ray_x.xyz + gl_FragCoord.y * ray_y.xyz;
    float per_z = 1.0 / ray.z;
    float depth = -eye.z * per_z;
    vec2 local = eye.xy + depth * ray.xy;
    vec2 world = local + origin.xy;
    vec2 place = (world - window.xy) * window.zw;
    vec4 here = textureLod(cover_map, place, 0.0);
#if LABELS
    float kind = here.z > 0.5 ? ROAD : here.w > 0.5 ? SIDEWALK : TERRAIN;
    kind = here.x > 0.5 ? MARKING : kind;
    kind = here.y > 0.5 ? CROSSING : kind;
    out_label = vec4(0.0, 0.0, kind / 255.0, 0.0);
    out_depth = depth;
#endif
#if COLOUR
    // Footprint of the pixel on the ground: its longer and its shorter axis.
    vec2 slope = ray.xy * per_z;
    vec2 dx = depth * (ray_x.xy - slope * ray_x.z);
    vec2 dy = depth * (ray_y.xy - slope * ray_y.z);
    float dx2 = dot(dx, dx), dy2 = dot(dy, dy);
    vec2 major = dx2 > dy2 ? dx : dy;
    float per_major = inversesqrt(max(dx2, dy2));
    float major_m = max(dx2, dy2) * per_major;
    float minor_m = abs(dx.x * dy.y - dx.y * dy.x) * per_major;
    float width_m = max(minor_m, major_m * (1.0 / float(TAPS)));
    float octave = log2(width_m);
    float lod = octave - log2(texel_m);
    vec2 stride = major * window.zw * (1.0 / float(TAPS));
    vec2 first = place - stride * (0.5 * float(TAPS - 1));
    float sharp = lod - 0.6;  // taps overlap
    vec4 cover = textureLod(cover_map, first, sharp);
    for (int i = 1; i < TAPS; i++) cover += textureLod(cover_map, first + stride * float(i), sharp);
    cover *= 1.0 / float(TAPS);
    // Close by, an edge is where the coverage crosses one half, as sharp as the pixel.
    if (major_m < texel_m) {
        vec4 crisp = clamp((here - 0.5) / clamp(width_m / texel_m, 0.12, 1.0) + 0.5, 0.0, 1.0);
        cover = mix(crisp, cover, clamp(major_m / texel_m * 2.0 - 1.0, 0.0, 1.0));
    }
    vec4 wear = textureLod(wear_map, place, lod - 1.0);
    vec4 grain = textureLod(noise_map, world * 0.37, octave + 6.6);

    float tone = wear.r * 2.0;
    float speck = (grain.g - 0.5) * clamp(-0.20 * octave + 0.1, 0.0, 1.0);
    vec3 road = vec3(0.118, 0.115, 0.112) * (1.0 + 0.75 * speck);
    vec3 base = road;
    if (cover.z < 1.0) {
        vec3 grass = mix(vec3(0.060, 0.088, 0.026), vec3(0.135, 0.120, 0.062), wear.b);
        base = mix(grass * (0.62 + 0.76 * grain.g), road, cover.z);
    }
    if (cover.w > 0.0) {
        // Slabs of half a metre.
        vec2 joint = clamp((0.04 - abs(fract(world * 2.0) - 0.5)) / (max(width_m, 0.02) * 2.0) + 0.5, 0.0, 1.0);
        float joints = max(joint.x, joint.y) * clamp(1.3 - width_m * 6.0, 0.0, 1.0);
        vec3 walk = vec3(0.265, 0.255, 0.24) * ((1.0 + 0.5 * speck) * (1.0 - 0.30 * joints));
        base = mix(base, walk, cover.w);
    }
    base *= tone;
    if (cover.x > 0.0) {
        // Paint wears off where wheels and time took it.
        float kept = clamp((grain.r * 0.55 + wear.b * 0.30 + tone * 0.4) * 4.0 - 1.5, 0.35, 1.0);
        vec3 paint = mix(vec3(0.56, 0.56, 0.54), vec3(0.56, 0.36, 0.045), step(0.5, wear.g)) * (0.8 + 0.2 * tone);
        base = mix(base, paint, cover.x * kept);
    }

    vec3 light = sky_rgb_.rgb;
    vec3 point = vec3(local, 0.0);
#if SHADOWS
    light += sun_rgb_.rgb * (sun_.z * sunlit(point));
#endif
#if NIGHT
    vec3 up = vec3(0.0, 0.0, 1.0);
    light += lamplight(point, up) + beamlight(point, up, 0, int(beam_count.x));
#endif
    float per_length = inversesqrt(dot(ray, ray));
    float distance_m = depth / per_length;
#if WET
    float paved = cover.z + 0.6 * cover.w;
    float puddle = wear.a * paved;
    float wet = bounce_rgb_.w;
    base *= 1.0 - wet * (0.38 + 0.25 * puddle);
    float facing = -ray.z * per_length;
    float edge = 1.0 - facing;
    edge *= edge;
    edge *= edge;
    float film = wet * (0.10 + 0.45 * paved + 0.45 * puddle) * (0.02 + 0.62 * edge);
    vec3 mirrored = mix(horizon_rgb_.rgb, zenith_rgb_.rgb, facing);
#if NIGHT
    mirrored += beammirror(point, vec3(ray.xy, -ray.z) * per_length, 1, int(beam_count.x));
    mirrored += vec3(1.0, 0.72, 0.42) * 0.2 * lamplight(point, up).r;
#endif
    vec3 color = mix(base * light, mirrored, film);
#else
    vec3 color = base * light;
#endif
    out_color = vec4(shown(hazy(color, distance_m)), 1.0);
#endif
}
