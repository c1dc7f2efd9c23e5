#include outputs.glsl
#if COLOUR
#include lit.glsl
uniform sampler2D noise_map;
uniform sampler2D tone_map;
#endif
uniform sampler2D cover_map;     // white, yellow, drivable, sidewalk
uniform sampler2D crossing_map;
uniform vec4 window;             // xy: lower edge, world; zw: 1 / size
uniform float texel_m;

const float ROAD = 2.0, MARKING = 3.0, CROSSING = 4.0, SIDEWALK = 5.0, TERRAIN = 6.0;

void main() {
    vec3 ray = ray_0.xyz + gl_FragCoord.x * ray_x.xyz + gl_FragCoord.y * ray_y.xyz;
    float depth = -eye.z / ray.z;
    vec2 local = eye.xy + depth * ray.xy;
    vec2 world = local + origin.xy;
    vec2 place = (world - window.xy) * window.zw;
    vec4 here = textureLod(cover_map, place, 0.0);
    float crossing = textureLod(crossing_map, place, 0.0).r;
#if LABELS
    float kind = here.z > 0.5 ? ROAD : here.w > 0.5 ? SIDEWALK : TERRAIN;
    kind = here.x + here.y > 0.5 ? MARKING : kind;
    kind = crossing > 0.5 ? CROSSING : kind;
    out_label = vec4(0.0, 0.0, kind / 255.0, 0.0);
    out_depth = depth;
#endif
#if COLOUR
    // Footprint of the pixel on the ground: its longer and its shorter axis.
    vec2 slope = ray.xy / ray.z;
    vec2 dx = depth * (ray_x.xy - slope * ray_x.z);
    vec2 dy = depth * (ray_y.xy - slope * ray_y.z);
    bool x_longer = dot(dx, dx) > dot(dy, dy);
    vec2 major = x_longer ? dx : dy;
    float major_m = length(major);
    float minor_m = abs(dx.x * dy.y - dx.y * dy.x) / major_m;
    float width_m = max(minor_m, major_m * (1.0 / float(TAPS)));
    float lod = log2(max(width_m / texel_m, 0.25));
    vec2 stride = major * window.zw * (1.0 / float(TAPS));
    vec4 cover = vec4(0.0);
    for (int i = 0; i < TAPS; i++)
        cover += textureLod(cover_map, place + stride * (float(i) - 0.5 * float(TAPS - 1)), lod);
    cover *= 1.0 / float(TAPS);
    // Close by, an edge is where the coverage crosses one half, as sharp as the pixel.
    float sharp = clamp(width_m / texel_m, 0.12, 1.0);
    vec4 crisp = clamp((here - 0.5) / sharp + 0.5, 0.0, 1.0);
    cover = mix(crisp, cover, smoothstep(0.5, 1.0, major_m / texel_m));

    float distance_m = depth * length(ray);
    float detail = clamp(1.0 - log2(max(width_m * 40.0, 1.0)) * 0.2, 0.0, 1.0);
    vec4 grain = textureLod(noise_map, world * 0.37, max(log2(width_m * 95.0), 0.0));
    vec4 broad = textureLod(noise_map, world * 0.019, max(log2(width_m * 5.0), 0.0));
    float tone = textureLod(tone_map, place, max(lod - 1.0, 0.0)).r * 2.0;

    vec3 road = vec3(0.088, 0.088, 0.090) * (1.0 + 0.9 * (grain.g - 0.5) * detail);
    // Slabs of half a metre.
    vec2 slab = world * 2.0;
    vec2 joint = clamp((0.035 - abs(fract(slab) - 0.5)) / (max(width_m, 0.02) * 2.0) + 0.5, 0.0, 1.0);
    float joints = max(joint.x, joint.y) * clamp(1.3 - width_m * 6.0, 0.0, 1.0);
    vec3 walk = vec3(0.235, 0.225, 0.21) * (1.0 + 0.5 * (grain.r - 0.5) * detail) * (1.0 - 0.35 * joints);
    vec3 grass = mix(vec3(0.052, 0.078, 0.022), vec3(0.125, 0.115, 0.055), broad.r * broad.g * 1.6);
    grass *= 0.55 + 0.9 * grain.g;
    vec3 base = mix(grass, road, cover.z);
    base = mix(base, walk, cover.w) * tone;
    // Paint wears off where wheels and time took it.
    float worn = smoothstep(0.16, 0.42, grain.r * 0.55 + broad.g * 0.35 + (tone - 1.0) * 0.35);
    float wear = mix(0.35, 1.0, worn);
    base = mix(base, vec3(0.55, 0.55, 0.53) * (0.85 + 0.15 * tone), cover.x * wear);
    base = mix(base, vec3(0.55, 0.36, 0.045), cover.y * wear);

    float gloss = 0.0;
#if WET
    float puddle = smoothstep(0.46, 0.62, broad.b) * (cover.z + 0.4 * cover.w);
    base *= mix(1.0, 0.52, sun_rgb_.w * bounce_rgb_.w);
    gloss = bounce_rgb_.w * (0.22 + 0.78 * puddle) * (cover.z + 0.6 * cover.w + 0.05);
#endif

    vec3 light = sky_rgb_.rgb;
    vec3 up = vec3(0.0, 0.0, 1.0);
    vec3 point = vec3(local, 0.0);
#if SHADOWS
    light += sun_rgb_.rgb * (sun_.z * sunlit(point));
#endif
#if NIGHT
    light += lamplight(point, up) + beamlight(point, up, 0, int(beam_count.x));
#endif
    vec3 color = base * light;
    vec3 direction = ray * (depth / distance_m);
#if WET
    float facing = -direction.z;
    float edge = 1.0 - facing;
    edge *= edge;
    edge *= edge * (1.0 - facing);
    vec3 mirrored = mix(horizon_rgb_.rgb, zenith_rgb_.rgb, facing) * 0.85;
    color = mix(color, mirrored, gloss * (0.03 + 0.80 * edge));
#endif
    out_color = vec4(shown(hazy(color, direction, distance_m)), 1.0);
#endif
}
